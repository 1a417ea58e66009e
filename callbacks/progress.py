"""A progress bar over windows, where somebody is watching."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datamodules.stream import ENDLESS


class WindowProgress(Callback):
    """Show windows done, time left and the current error; silent when the output is not a terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("windows"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(), TextColumn("{task.fields[status]}"),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        total = trainer.num_training_batches
        self._task = self._bar.add_task("windows", total=total if total < ENDLESS else None, status="")
        self._bar.start()

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Advance by one window."""
        error = next((f"{key} {value:.1f}" for key, value in row.items() if key.endswith("_px") and value), "")
        if "people/AP" in row:
            error = f"AP {row['people/AP'] or 0:.3f}  {error}"
        status = f"{error}  {row['frames_per_second']:.0f} frames/s"
        self._bar.update(self._task, advance=1, status=status)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the message stands below it."""
        self._bar.stop()
