"""What a window cost: seconds by phase, wall clock, speed, memory."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer

from callbacks.observer import Observer
from pose_oad.online.record import WindowRecord
from pose_oad.online.stopwatch import Stopwatch

_STATUS = Path("/proc/self/status")  # Linux only

#: Phases that add up to a window's work, in order; ``decode`` runs beside them in the background.
PHASES = ("decode", "wait", "predict", "evaluate", "query", "look", "label", "train", "retention", "log")

# Phases that only measure.
_MEASURING = ("evaluate", "retention")


class Timing(Observer):
    """Say what a window cost, in seconds and counts. Must be the last observer.

    ``seconds/decode`` is the decoder's own time, in the background; ``seconds/wait`` how long the loop stood still for
    it. ``seconds/log`` is that of the window before, since a window's own is only known once it has been logged. Wall
    clock and speed are those of the method: they leave out ``evaluate`` and ``retention``, the labels and forward
    passes that only measure it.

    Args:
        watch: where the time of the loop goes

    Attributes:
        totals: seconds of each phase so far
        frames: frames so far
        selected: frames selected so far
        steps: optimiser steps so far
        teacher_calls: frames the teacher labelled so far, to choose and to train
        training_events: windows so far on which the student trained
        counted: what else was counted so far, by name: frames dropped, labels rejected or kept from earlier runs, …
        wall_clock: seconds from the start of the stream to the end of the last window, without measuring
    """

    def __init__(self, watch: Stopwatch) -> None:
        self.watch, self.totals = watch, dict.fromkeys(PHASES, 0.0)
        self.frames = self.selected = self.steps = self.teacher_calls = self.training_events = 0
        self.counted: dict[str, int] = {}
        self.wall_clock = 0.0
        self._before = 0.0  # seconds before the run was stopped
        self._started = self._ended = time.perf_counter()
        self._device = torch.device("cpu")

    def state_dict(self) -> dict[str, Any]:
        """Return the totals behind the last window; what logging it takes after that is not counted."""
        sums = ("frames", "selected", "steps", "teacher_calls", "training_events")
        return {
            "totals": dict(self.totals), "counted": dict(self.counted), "elapsed": self._ended - self._started,
            "sums": {name: getattr(self, name) for name in sums},
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from totals returned by :meth:`state_dict`."""
        self.totals, self.counted = dict(state_dict["totals"]), dict(state_dict["counted"])
        self._before = state_dict["elapsed"]
        for name, value in state_dict["sums"].items():
            setattr(self, name, value)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock, now that every callback is ready."""
        self._ended, self._device = time.perf_counter(), pl_module.device
        self._started = self._ended - self._before

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note how long the loop waited for this window."""
        self.watch.seconds["wait"] = time.perf_counter() - self._ended - self.watch.seconds["log"]

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Return a window's times and counts."""
        window, training, now = record.window, record.training, time.perf_counter()
        taken = self.watch.take() | {"decode": window.decode_s}
        seconds = {phase: taken.get(phase, 0.0) for phase in PHASES}
        self._add(seconds)
        self.frames += len(window)
        self.selected += len(record.choice.positions)
        self.steps += training.steps
        self.training_events += training.steps > 0
        counts = Counter({**record.counts, **record.measured.counts, **training.counts})
        calls, _ = counts.pop("teacher_calls", 0), counts.pop("evaluation_teacher_calls", 0)
        self.teacher_calls += calls
        if training.rejected:
            counts["windows_rejected"] = 1
        if record.labels is not None and record.labels.nobody.all():
            counts["windows_not_trained"] = 1
        if window.frames_dropped is not None:
            counts["frames_dropped"] = window.frames_dropped
        for name, number in counts.items():
            self.counted[name] = self.counted.get(name, 0) + number
        values = {f"seconds/{phase}": value for phase, value in seconds.items()}
        values |= {name: counts[name] for name in sorted(self.counted)}
        values |= {
            "candidates": len(window.candidates),
            "selected": len(record.choice.positions),
            "selected_total": self.selected,
            "frames_without_person": counts["frames_without_person"],
            "teacher_calls": calls,
            "teacher_calls_total": self.teacher_calls,
            "optimizer_steps_total": self.steps,
            "wall_clock_s": now - self._started - _measuring(self.totals),
            "frames_per_second": len(window) / (now - self._ended - _measuring(seconds)),
            "peak_memory_mb": peak_memory(self._device),
        }
        self._ended = now
        return values

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the last window's logging in."""
        self._add({"log": self.watch.take().get("log", 0.0)})
        self.wall_clock = time.perf_counter() - self._started - _measuring(self.totals)

    def summary(self) -> dict[str, float]:
        """Return the run's counts and seconds."""
        return {
            "frames": self.frames,
            "selected": self.selected,
            "teacher_calls": self.teacher_calls,
            "optimizer_steps": self.steps,
            "training_events": self.training_events,
            **self.counted,
            "wall_clock_s": self.wall_clock,
            **{f"seconds/{phase}": seconds for phase, seconds in self.totals.items()},
        }

    def _add(self, seconds: Mapping[str, float]) -> None:
        for phase, value in seconds.items():
            self.totals[phase] += value


def _measuring(seconds: Mapping[str, float]) -> float:
    return sum(seconds[phase] for phase in _MEASURING)


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
