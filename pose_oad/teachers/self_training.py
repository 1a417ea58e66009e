"""The student as its own teacher: what it is sure of is its label, as in DeepLabCut's adaptation to a video."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Literal

from pose_oad.students import PoseStudent
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.student import NetworkTeacher
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import Count, Share


class SelfTeacher(NetworkTeacher):
    """Label frames with the joints that the student itself predicts with confidence.

    Joints that it is not sure of were not found; a frame in which nothing is sure says nothing, not even that nobody is
    there.

    Args:
        student: the student of the run; None where there is none
        threshold: confidence from which a joint is a label
        weights: of the student as it was ``pretrained``, or as training has come to ``now``
        batch_size: frames per forward pass

    Raises:
        UserError: if there is no student.
    """

    takes_student = True
    # What it says depends on what has been learnt so far: no label of an earlier run is its own.
    repeats_itself = False

    def __init__(
        self,
        student: PoseStudent | None,
        threshold: Share = 0.1,
        weights: Literal["pretrained", "now"] = "pretrained",
        batch_size: Count = 32,
    ) -> None:
        if student is None:
            raise UserError("teacher=self: there is no student here; choose another teacher, as teacher=onnx")
        self._student, self.threshold = student, threshold
        self._teaching = copy.deepcopy(student) if weights == "pretrained" else student
        super().__init__(self._teaching, batch_size, "self")

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with what the student is sure of, px of the original frames, and its maps.

        Raises:
            ValueError: if the request has no images.
        """
        self._teaching.to(self._student.scale.device)  # where the student has gone since the teacher was made
        labels = super().label(request)
        keypoints = labels.keypoints * (labels.keypoints[..., 2:] >= self.threshold)
        nobody = ~(keypoints[..., 2] > 0).flatten(1).any(1)
        return replace(labels, keypoints=keypoints, unusable=nobody)
