"""A teacher that says what it is told to."""

from __future__ import annotations

import torch

from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest

BODY = get_skeleton("body-12")


class FixedTeacher:
    """Answer every request alike.

    Args:
        labels: the answer
        skeleton: its joint set
        size: width and height at which it wants frames, px; None: it reads none
        uses_truth: whether it says that it needs the truth
    """

    name = "fixed"

    def __init__(
        self,
        labels: Labels,
        skeleton: Skeleton = BODY,
        size: tuple[int, int] | None = None,
        uses_truth: bool = False,
    ) -> None:
        self.labels, self.skeleton, self.uses_truth = labels, skeleton, uses_truth
        self._size = size
        self.requests: list[TeacherRequest] = []

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the size it was given."""
        return self._size

    def label(self, request: TeacherRequest) -> Labels:
        """Return the answer."""
        self.requests.append(request)
        return self.labels


def standing(x: float = 50.0, top: float = 20.0, scale: float = 1.0, confidence: float = 1.0) -> torch.Tensor:
    """A person of 12 joints whose upright limbs are 20 px long and shoulders and hips 10 px wide, shape (12, 3)."""
    rows = {"shoulder": 0, "elbow": 20, "wrist": 40, "hip": 20, "knee": 40, "ankle": 60}
    joints = [
        (x + scale * (5 if joint.startswith("left") else -5), top + scale * rows[joint.split("_")[1]], confidence)
        for joint in BODY.joints
    ]
    return torch.tensor(joints)
