"""Near the features of the pre-trained student, or of an average of its weights (STFPM, arXiv 2103.04257)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch.nn.functional import normalize

from pose_oad.online.objectives.base import Loss, MapOutputs, TrainingTarget
from pose_oad.online.objectives.own_teacher import OwnTeacher
from pose_oad.students import PoseStudent


class FeatureLoss(OwnTeacher):
    """Add, over the levels that the head reads, the squared distance of features brought to length 1 in each cell.

    The features are those of the student's own kind of network: what a teacher hands over are keypoints and maps.

    Args:
        teacher: ``pretrained``, the student before the stream, or ``average``, of its weights
        momentum: share of the former average that each step leaves
    """

    auxiliary = reads_features = True

    def __init__(
        self,
        teacher: Literal["pretrained", "average"] = "pretrained",
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    ) -> None:
        super().__init__(momentum)
        self._follows = teacher == "average"

    def after_step(self, student: PoseStudent) -> None:
        """Take the weights into the average."""
        if self._follows:
            super().after_step(student)

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the sum over levels of the mean over cells.

        Raises:
            ValueError: if the target comes without frames.
        """
        if target.frames is None:
            raise ValueError("a feature loss needs the frames of a batch")
        teacher = self.teacher
        with torch.no_grad():
            wanted = teacher.backbone(teacher.normalise(target.frames))
        pairs = zip(outputs.features, wanted, strict=True)
        levels = [(normalize(own) - normalize(other)).square().sum(1).mean() for own, other in pairs]
        total = torch.stack(levels).sum()
        return Loss(total, {"features": total.detach()})

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights; the pre-trained ones are those of the checkpoint."""
        return super().state_dict() if self._follows else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        if self._follows:
            super().load_state_dict(state)
