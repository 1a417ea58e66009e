"""The contract of a regulariser, the one that does nothing, and several at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from pose_oad.online.batch import NEW, LabelledBatch
from pose_oad.online.stage import Several, Stage
from pose_oad.students import PoseStudent

#: Frames that a regulariser looks at: those labelled in this window, those replayed or rehearsed, all of a batch, or
#: others of the window, whose labels nobody asked for.
AppliesTo = Literal["new", "replayed", "labelled", "unlabelled"]


class Regulariser(Stage):
    """Add a penalty to the loss, or change what a step has done; each method does nothing unless it is overridden."""

    def penalty(self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None) -> Tensor | None:
        """Return what is added to the loss of a batch.

        Args:
            student: the network that trains
            batch: the labelled frames of this step
            unlabelled: other frames of the window, RGB uint8, shape (at most ``unlabelled_frames``, height, width, 3)

        Returns:
            A scalar; None adds nothing.
        """
        return None


class NoRegulariser(Regulariser):
    """Hold nothing back, as in the paper."""


class RegulariserSum(Several, Regulariser):
    """Add regularisers up, each penalty with its weight; the sum is a regulariser.

    Args:
        regularisers: regularisers by name
        weights: how much the penalty of each counts, by the same names; 1 where nothing is said

    Raises:
        ValueError: if there is no regulariser, or a weight has none.
    """

    def __init__(self, regularisers: Mapping[str, Regulariser], weights: Mapping[str, float] | None = None) -> None:
        super().__init__("regularisers", regularisers, weights)
        self.regularisers = dict(regularisers)

    def penalty(self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None) -> Tensor | None:
        """Return the weighted sum of their penalties."""
        penalties = {name: part.penalty(student, batch, unlabelled) for name, part in self.regularisers.items()}
        weighed = [self.weights[name] * penalty for name, penalty in penalties.items() if penalty is not None]
        return torch.stack(weighed).sum() if weighed else None


def frames_of(applies_to: AppliesTo, batch: LabelledBatch, unlabelled: Tensor | None) -> Tensor | None:
    """Return the frames of a step that a regulariser looks at, RGB uint8; None where there are none.

    Args:
        applies_to: which
        batch: the labelled frames
        unlabelled: the others
    """
    if applies_to == "labelled":
        return batch.frames
    if applies_to == "unlabelled":
        return unlabelled
    frames = batch.frames[(batch.origin == NEW) == (applies_to == "new")]
    return frames if len(frames) else None
