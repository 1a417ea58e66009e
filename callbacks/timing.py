"""What a window cost: seconds by phase, wall clock, speed, memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from pose_oad.distillation import as_distillation
from pose_oad.window import FrameWindow

_STATUS = Path("/proc/self/status")  # Linux only

#: Phases that add up to a window's work, in order; ``decode`` runs beside them in the background.
PHASES = ("decode", "wait", "predict", "evaluate", "query", "label", "train", "log")


class Timing(Callback):
    """Put a window's times and counts into its metrics. Must be the first callback.

    ``seconds/decode`` is the decoder's own time, in the background; ``seconds/wait`` how long the loop stood still for
    it. ``seconds/log`` is that of the window before, since a window's own is only known once it has been logged.

    Attributes:
        totals: seconds of each phase so far
        frames: frames so far
        selected: frames selected so far
        wall_clock: seconds from the start of the stream to the end of the last window
    """

    def __init__(self) -> None:
        self.totals = dict.fromkeys(PHASES, 0.0)
        self.frames = self.selected = 0
        self.wall_clock = 0.0
        self._started = self._ended = time.perf_counter()
        self._last: dict[str, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = self._ended = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note how long the loop waited for this window."""
        batch.seconds["wait"] = time.perf_counter() - self._ended - self._last_log()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Complete the window's metrics with times and counts."""
        window: FrameWindow = batch
        module = as_distillation(pl_module)
        now = time.perf_counter()
        seconds = {phase: window.seconds.get(phase, 0.0) for phase in PHASES} | {"log": self._last_log()}
        for phase, value in seconds.items():
            self.totals[phase] += value
        self.frames += len(window)
        self.selected += len(window.selected)
        window.metrics |= {f"seconds/{phase}": value for phase, value in seconds.items()}
        window.metrics |= {
            "candidates": len(window.candidates),
            "selected": len(window.selected),
            "selected_total": self.selected,
            "frames_without_person": window.counts["frames_without_person"],
            "teacher_calls": window.counts["teacher_calls"],
            "teacher_calls_total": module.desk.calls,
            "optimizer_steps_total": module.optimizer_steps,
            "wall_clock_s": now - self._started,
            "frames_per_second": len(window) / (now - self._ended),
            "peak_memory_mb": peak_memory(),
        }
        self._ended, self._last = now, window.seconds

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the last window's logging in."""
        self.totals["log"] += self._last_log()
        self.wall_clock = time.perf_counter() - self._started
        self._last = {}

    def _last_log(self) -> float:
        return self._last.get("log", 0.0)


def peak_memory() -> float:
    """Return the largest memory this process has held, MB: on the GPU if there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return peak_resident()


def peak_resident() -> float:
    """Return the largest resident memory of this process since it began, MB.

    Linux says so itself; its getrusage would count what a larger parent process held before it started this one.
    """
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
