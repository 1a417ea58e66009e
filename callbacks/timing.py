"""What a window cost: seconds by phase, wall clock, speed, memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from pose_oad.online.distillation import as_distillation
from pose_oad.online.window import FrameWindow

_STATUS = Path("/proc/self/status")  # Linux only

#: Phases that add up to a window's work, in order; ``decode`` runs beside them in the background.
PHASES = ("decode", "wait", "predict", "evaluate", "query", "label", "train", "retention", "log")

# Phases that come after a window's times have been taken: they are reported with the next window.
_AFTER = ("retention", "log")

# Phases that only measure.
_MEASURING = ("evaluate", "retention")

# Counts of a window that are reported under names of their own, here or by evaluation.
_KNOWN = {"optimizer_steps", "teacher_calls", "evaluation_teacher_calls"}


class Timing(Callback):
    """Put a window's times and counts into its metrics. Must be the first callback.

    ``seconds/decode`` is the decoder's own time, in the background; ``seconds/wait`` how long the loop stood still for
    it. ``seconds/log`` and ``seconds/retention`` are those of the window before, since a window's own are only known
    once it has been logged. Wall clock and speed are those of the method: they leave out ``evaluate`` and
    ``retention``, the labels and forward passes that only measure it.

    Attributes:
        totals: seconds of each phase so far
        frames: frames so far
        selected: frames selected so far
        training_events: windows so far on which the student trained
        counted: what else was counted so far, by name: frames dropped, labels rejected or kept from earlier runs, …
        wall_clock: seconds from the start of the stream to the end of the last window, without measuring
    """

    def __init__(self) -> None:
        self.totals = dict.fromkeys(PHASES, 0.0)
        self.frames = self.selected = self.training_events = 0
        self.counted: dict[str, int] = {}
        self.wall_clock = 0.0
        self._before = 0.0  # seconds before the run was stopped
        self._started = self._ended = time.perf_counter()
        self._last: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the totals behind the last window; what logging it takes after that is not counted."""
        return {
            "totals": dict(self.totals), "frames": self.frames, "selected": self.selected,
            "training_events": self.training_events, "counted": dict(self.counted),
            "elapsed": self._ended - self._started,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from totals returned by :meth:`state_dict`."""
        self.totals = dict(state_dict["totals"])
        self.frames, self.selected = state_dict["frames"], state_dict["selected"]
        self.training_events, self._before = state_dict["training_events"], state_dict["elapsed"]
        self.counted = dict(state_dict.get("counted", {}))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, now that every callback is ready."""
        self._ended = time.perf_counter()
        self._started = self._ended - self._before

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note how long the loop waited for this window."""
        batch.seconds["wait"] = time.perf_counter() - self._ended - sum(self._after().values())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Complete the window's metrics with times and counts."""
        window: FrameWindow = batch
        module = as_distillation(pl_module)
        now = time.perf_counter()
        seconds = {phase: window.seconds.get(phase, 0.0) for phase in PHASES} | self._after()
        for phase, value in seconds.items():
            self.totals[phase] += value
        self.frames += len(window)
        self.selected += len(window.selected)
        self.training_events += window.counts["optimizer_steps"] > 0
        for name in window.counts.keys() - _KNOWN:
            self.counted[name] = self.counted.get(name, 0) + window.counts[name]
        window.metrics |= {f"seconds/{phase}": value for phase, value in seconds.items()}
        window.metrics |= {name: window.counts[name] for name in sorted(self.counted)}
        window.metrics |= {
            "candidates": len(window.candidates),
            "selected": len(window.selected),
            "selected_total": self.selected,
            "frames_without_person": window.counts["frames_without_person"],
            "teacher_calls": window.counts["teacher_calls"],
            "teacher_calls_total": module.label_service.calls,
            "optimizer_steps_total": module.optimizer_steps,
            "wall_clock_s": now - self._started - self._measuring(self.totals),
            "frames_per_second": len(window) / (now - self._ended - self._measuring(seconds)),
            "peak_memory_mb": peak_memory(module.device),
        }
        self._ended, self._last = now, window.seconds

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the last window's logging in."""
        for phase, value in self._after().items():
            self.totals[phase] += value
        self.wall_clock = time.perf_counter() - self._started - self._measuring(self.totals)
        self._last = {}

    @staticmethod
    def _measuring(seconds: Mapping[str, float]) -> float:
        return sum(seconds[phase] for phase in _MEASURING)

    def _after(self) -> dict[str, float]:
        return {phase: self._last.get(phase, 0.0) for phase in _AFTER}


def peak_memory(device: torch.device) -> float:
    """Return the largest memory this process has held, MB: on the GPU if it trains on one, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_resident()


def peak_resident() -> float:
    """Return the largest resident memory of this process since it began, MB.

    Linux says so itself; its getrusage would count what a larger parent process held before it started this one.
    """
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
