"""LwF and LFL: near what the student said of the same frames before the window."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.regularisers.base import AppliesTo, Regulariser, frames_of
from pose_oad.online.stage import beside, frozen_copy
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Count, NotNegative


class _Snapshot(Regulariser):
    """Add the distance to what the student as it was when the window began says of some frames.

    Args:
        strength: of the penalty
        applies_to: which frames; new ones would be held to what their labels contradict
        frames: their number in every step, if they are unlabelled ones
    """

    def __init__(self, strength: NotNegative, applies_to: AppliesTo = "replayed", frames: Count = 4) -> None:
        self.strength, self.applies_to = strength, applies_to
        self.unlabelled_frames = frames if applies_to == "unlabelled" else 0
        self._before: PoseStudent | None = None

    def window_started(self, student: PoseStudent) -> None:
        """Keep the student as it is."""
        self._before = beside(frozen_copy(student), student)

    def penalty(self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None) -> Tensor | None:
        """Return the penalty; None in a step without such frames."""
        frames = frames_of(self.applies_to, batch, unlabelled)
        if frames is None or self._before is None:
            return None
        images = student.normalise(frames)
        with torch.no_grad():
            before = self._say(self._before, images)
        pairs = zip(self._say(student, images), before, strict=True)
        return self.strength * torch.stack([mse_loss(now, then) for now, then in pairs]).sum()

    def _say(self, network: PoseStudent, images: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError


class LearningWithoutForgetting(_Snapshot):
    """LwF: the mean squared difference of the maps."""

    def _say(self, network: PoseStudent, images: Tensor) -> tuple[Tensor, ...]:
        return network(images)


class LessForgetting(_Snapshot):
    """LFL: the mean squared difference of the features that the head reads; the head itself does not move."""

    def started(self, student: PoseStudent) -> None:
        """Freeze the head."""
        student.head.requires_grad_(False)

    def _say(self, network: PoseStudent, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(network.backbone(images))
