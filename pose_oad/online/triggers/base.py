"""The contract of a trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from pose_oad.online.stage import Stage
from pose_oad.poses.skeleton import Skeleton


@dataclass(frozen=True)
class WindowStats:
    """What a trigger may know of a window before it is chosen from: nothing of the truth.

    Attributes:
        index: number of the window
        frames: how many it has
        candidates: how many of them the teacher could label
        closed_s: time of the stream at which it is complete, s
        predictions: the student's keypoints before training, original px, shape (frames, joints, 3); None where nobody
            has predicted yet
    """

    index: int
    frames: int
    candidates: int
    closed_s: float
    predictions: Tensor | None = None


class Plan(NamedTuple):
    """What a window gets.

    Attributes:
        label_budget: how many frames may be chosen
        steps: optimiser steps on them; None: as ``training`` says; 0: none
        fired: whether the trigger saw cause to learn from the window
    """

    label_budget: int
    steps: int | None = None
    fired: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Attributes:
        asked: frames the teacher was asked about
        labelled: the teacher's best person of each chosen frame, original px, shape (labels, joints, 3)
        predicted: the student's before training, likewise
        steps: optimiser steps that were made
        loss: mean loss of the steps; NaN without any
        skeleton: joint set of both
        slack_s: time between the new weights being ready and the next window's end, s; below 0 they are late
    """

    asked: int
    labelled: Tensor
    predicted: Tensor
    steps: int
    loss: float
    skeleton: Skeleton
    slack_s: float = float("inf")


class Trigger(Stage):
    """Decide how many labels and steps a window gets; what is saved may be spent later."""

    def plan(self, stats: WindowStats) -> Plan:
        """Return what a window gets.

        Args:
            stats: what is known of it
        """
        raise NotImplementedError

    def satisfied(self, labelled: Tensor, predicted: Tensor, skeleton: Skeleton) -> bool:
        """Return whether the student is so good on the chosen frames that training on them is not worth it.

        Args:
            labelled: the teacher's best person of each, original px, shape (labels, joints, 3)
            predicted: the student's before training, likewise
            skeleton: joint set of both
        """
        return False

    def observe(self, outcome: Outcome) -> None:
        """Look at what came of the plan."""
