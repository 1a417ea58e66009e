"""Keypoint errors with an explicit rule for joints that are not found: MPJPE, PCK and detection rate.

All distances are two-dimensional, in px, without any alignment; the caller says of which image (``scale``). A joint
counts as *found* when its confidence reaches a threshold. What happens to one that is not, ``undetected_joints`` says:

- ``argmax``: its most likely location is used all the same; every labelled joint counts (default)
- ``drop``: it is left out; read the detection rate beside the error
- ``penalty``: it counts as a stated distance
- ``zero``: it counts as error 0, and a frame in which nothing is found is left out. This is the rule of the paper; it
  rewards not detecting, and is here to be compared with
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torchmetrics import Metric

from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.schema import NotNegative, check_values

UndetectedJoints = Literal["argmax", "drop", "penalty", "zero"]


class JointErrors(NamedTuple):
    """Distances of predicted joints to labelled ones."""

    distance: Tensor  #: px, shape (frames, joints), under the missing-joint policy
    counted: Tensor  #: which of them count, shape (frames, joints)
    labelled: Tensor  #: which joints have a label, shape (frames, joints)
    found: Tensor  #: which labelled joints the student found, shape (frames, joints)
    located: Tensor  #: which labelled joints have a location under the policy, shape (frames, joints)

    def per_frame(self) -> Tensor:
        """Return the mean distance of each frame's counted joints, px, shape (frames,); NaN where none counts."""
        return (self.distance * self.counted).sum(1) / self.counted.sum(1)


@dataclass(frozen=True)
class MissingRule:
    """What becomes of joints that are not found."""

    undetected_joints: UndetectedJoints = "argmax"  #: ``argmax``, ``drop``, ``penalty`` or ``zero``
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.1  #: confidence from which a joint counts as found
    penalty: NotNegative = 100.0  #: distance of a joint not found under ``penalty``, px

    def validate(self) -> MissingRule:
        """Refuse unusable values by their config keys."""
        check_values(MissingRule, vars(self), "metric")
        return self


def joint_errors(predicted: Tensor, labelled: Tensor, rule: MissingRule, scale: float | Tensor = 1.0) -> JointErrors:
    """Measure predicted keypoints against labels.

    Args:
        predicted: shape (frames, joints, 3), px of the original frame
        labelled: shape (frames, joints, 3), likewise; confidence 0 = no label
        rule: what becomes of joints that are not found
        scale: px of the reported image per px of the original frame, of all frames or of each, shape (frames,)
    """
    has_label = labelled[..., 2] > 0
    found = has_label & (predicted[..., 2] >= rule.threshold)
    distance = torch.linalg.vector_norm(predicted[..., :2] - labelled[..., :2], dim=-1)
    distance = distance * torch.as_tensor(scale).view(-1, 1)
    located, counted = found, has_label
    if rule.undetected_joints == "argmax":
        located = has_label
    elif rule.undetected_joints == "drop":
        counted = found
    elif rule.undetected_joints == "penalty":
        distance = torch.where(found, distance, rule.penalty)
    else:
        distance = torch.where(found, distance, 0.0)
        counted = has_label & found.any(1, keepdim=True)
    return JointErrors(distance * has_label, counted, has_label, found, located)


def torso_length(labelled: Tensor, skeleton: Skeleton, scale: float | Tensor = 1.0) -> Tensor:
    """Return left shoulder to right hip, PCK's usual reference length, px, shape (frames,); NaN where unknown."""
    if not {"left_shoulder", "right_hip"} <= set(skeleton.joints):
        return labelled.new_full((len(labelled),), torch.nan)
    shoulder, hip = labelled[:, skeleton.index("left_shoulder")], labelled[:, skeleton.index("right_hip")]
    length = torch.linalg.vector_norm(shoulder[:, :2] - hip[:, :2], dim=-1) * scale
    return length.where((shoulder[:, 2] > 0) & (hip[:, 2] > 0), torch.nan)


class Mpjpe(Metric):
    """Mean per-joint position error over frames and joints, px.

    ``compute`` returns the mean of every joint followed by the mean of all, shape (joints + 1,); NaN where nothing
    counted.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(joints, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(joints, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, errors: JointErrors) -> None:
        """Take in the errors of some frames."""
        self.total += (errors.distance.double() * errors.counted).sum(0)
        self.count += errors.counted.sum(0)

    def compute(self) -> Tensor:
        """Return the mean error of each joint, and of all joints, px."""
        total, count = (torch.cat([state, state.sum(0, keepdim=True)]) for state in (self.total, self.count))
        return total / count


class _Ratio(Metric):
    """A number of joints out of another, in [0, 1]; NaN where the latter is 0."""

    full_state_update = False
    hits: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("hits", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """Return the ratio."""
        return self.hits / self.count


class Pck(_Ratio):
    """Share of labelled joints within a distance, in [0, 1]; NaN where nothing is labelled.

    A joint without a location (not found, under any policy but ``argmax``) is never within.

    Args:
        threshold: the distance, px, or a fraction of a reference length given with each update
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def update(self, errors: JointErrors, reference: Tensor | None = None) -> None:
        """Take in the errors of some frames.

        ``reference`` is the length of which the threshold is a fraction, px, shape (frames,); frames where it is NaN
        are left out. None takes the threshold in px.
        """
        limit = torch.ones(len(errors.distance)) if reference is None else reference.cpu()
        limit = limit.unsqueeze(1).to(errors.distance)
        counted = errors.labelled & limit.isfinite()
        self.hits += (counted & errors.located & (errors.distance <= self.threshold * limit)).sum()
        self.count += counted.sum()


class DetectionRate(_Ratio):
    """Share of labelled joints that the student found, in [0, 1]; NaN where nothing is labelled."""

    def update(self, errors: JointErrors) -> None:
        """Take in the errors of some frames."""
        self.hits += errors.found.sum()
        self.count += errors.labelled.sum()
