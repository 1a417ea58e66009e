"""What happened to a window: what each stage of the loop returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pose_oad.online.clocks import Charge
from pose_oad.online.learning import Training
from pose_oad.online.measurement import Measured
from pose_oad.online.triggers import Plan
from pose_oad.online.window import FrameWindow
from pose_oad.teachers.window_labels import WindowLabels


@dataclass(frozen=True)
class Choice:
    """What a query strategy chose.

    Attributes:
        positions: ascending positions in the window
        scores: how much it thought each frame worth labelling, shape (frames,), larger is more, of meaning for the
            candidates only; None where it scored nothing
    """

    positions: np.ndarray
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class WindowRecord:
    """One window's story.

    Attributes:
        window: what arrived
        measured: who was predicted, and how far off
        plan: what the trigger gave it
        choice: the frames that were chosen
        labels: what the teacher said of these; None where none was chosen
        training: what became of training on them
        ready_s: time of the stream from which the new weights serve, s; None where there are none, or a gate refused
        steps_before: optimiser steps before this window
        counts: what else happened, in whole numbers by name: teacher calls, frames without a person, …
        charge: what it took by the clock; None where it was dropped, since the trainer was behind
    """

    window: FrameWindow
    measured: Measured
    plan: Plan
    choice: Choice
    labels: WindowLabels | None
    training: Training
    ready_s: float | None
    steps_before: int
    counts: Mapping[str, int]
    charge: Charge | None = None

    @property
    def slack_s(self) -> float:
        """Time between the trainer being done and the next window's end, if that is as long, s; below 0 it is late."""
        following = 2 * self.window.closed_s - self.window.opened_s
        return float("nan") if self.charge is None else following - self.charge.ready_s
