"""A function that looks at every window when it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning import Callback, LightningModule, Trainer

from pose_oad.online.window import FrameWindow


class WindowWatcher(Callback):
    """Call a function with every window after its metrics have been logged.

    Args:
        look: the function; what it raises ends the run
    """

    def __init__(self, look: Callable[[FrameWindow], None]) -> None:
        self._look = look

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Hand the window over."""
        self._look(batch)
