"""One call to the tracking store per window."""

from __future__ import annotations

import math
from typing import Any

from lightning import Callback, LightningModule, Trainer

from pose_oad.online.window import FrameWindow


class WindowLogger(Callback):
    """Log a window's metrics in one batch, at the number of its last frame.

    The stream's frame number is the axis on which runs of different rates line up; Lightning's own, optimiser steps, is
    not. Must come after every callback that adds metrics.

    Args:
        logged: largest step that has been logged already, by the run that is gone on with
    """

    def __init__(self, logged: int = -1) -> None:
        self._logged = logged

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Send one window's metrics."""
        window: FrameWindow = batch
        if int(window.ids[-1]) <= self._logged:
            return
        with window.phase("log"):
            finite = {key: value for key, value in window.metrics.items() if math.isfinite(value)}
            for logger in trainer.loggers:
                logger.log_metrics(finite, step=int(window.ids[-1]))
