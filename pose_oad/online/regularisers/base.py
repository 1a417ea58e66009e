"""The contract of a regulariser, and the one that does nothing."""

from __future__ import annotations

from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.stage import Stage
from pose_oad.students import PoseStudent


class Regulariser(Stage):
    """Add a penalty to the loss, or change what a step has done; each method does nothing unless it is overridden."""

    def started(self, student: PoseStudent) -> None:
        """Look at the student as it is before the stream, and before any state is taken on."""

    def penalty(self, student: PoseStudent, batch: LabelledBatch) -> Tensor | None:
        """Return what is added to the loss of a batch, a scalar; None adds nothing."""
        return None

    def after_step(self, student: PoseStudent) -> None:
        """Look at the weights, or change them, after an optimiser step."""

    def window_closed(self, student: PoseStudent) -> None:
        """Look at the weights after the last step of a window."""


class NoRegulariser(Regulariser):
    """Hold nothing back, as in the paper."""
