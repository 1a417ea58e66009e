"""How far a run has come: a progress bar over windows, or a line for each where the output is no terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datamodules.stream import ENDLESS

_LOG = logging.getLogger(__name__)


class WindowProgress(Callback):
    """Show windows done, time left and the current error: in a bar on a terminal, elsewhere in a line per window."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("windows"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(), TextColumn("{task.fields[status]}"),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        total = trainer.num_training_batches
        self._total = int(total) if total < ENDLESS else None
        self._first: int | None = None
        self._run = str(getattr(trainer.logger, "run_id", ""))[:8]
        self._task = self._bar.add_task("windows", total=self._total, status="")
        self._bar.start()

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Advance by one window."""
        error = next((f"{key} {value:.1f}" for key, value in row.items() if key.endswith("_px") and value), "")
        if "people/AP" in row:
            error = f"AP {row['people/AP'] or 0:.3f}  {error}"
        status = f"{error}  {row['frames_per_second']:.0f} frames/s"
        self._bar.update(self._task, advance=1, status=status)
        if self._first is None:
            self._first = row["window"]  # of a resumed run, whose total is what is left
        if self._bar.disable:
            of = "" if self._total is None else f"/{self._first + self._total}"
            number = f"{row['window'] + 1}{of}"
            _LOG.info("%s  window %s  %s  %d labels", self._run, number, status, row["selected_total"])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the message stands below it."""
        self._bar.stop()
