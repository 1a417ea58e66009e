"""A label filter behind a teacher: labels that can hardly be right are rejected, and counted by reason."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from pose_oad.poses.joint_names import other_side
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.teachers.base import Labels, Teacher, TeacherAround, TeacherRequest
from pose_oad.tracking.errors import RefusedError
from pose_oad.tracking.schema import Count, Share

# A person needs this many limbs before one of them can be called too long.
_FEWEST_LIMBS = 4

_Factor = Annotated[float, Field(gt=1)]


class FilteredTeacher(TeacherAround):
    """A teacher whose unlikely labels are rejected, with the keys of ``conf/label_filter/default.yaml``.

    A rejected joint is one that was not found: the student learns nothing about it in that frame. A person of whom too
    few joints remain is rejected whole. A frame in which nobody remains teaches nothing, not even that nobody is there.
    The teacher's own maps pass as they are. Of the two ends of an impossible limb the one in more such limbs is
    rejected, else the less confident one, both if they are equal.
    """

    def __init__(
        self,
        teacher: Teacher,
        min_confidence: Share = 0.0,
        inside: bool = True,
        limb_ratio: _Factor | None = None,
        limb_asymmetry: _Factor | None = None,
        min_joints: Count = 1,
    ) -> None:
        super().__init__(teacher)
        self._inside, self._min_joints = inside, min_joints
        self._min_confidence, self._limb_ratio, self._limb_asymmetry = min_confidence, limb_ratio, limb_asymmetry
        self._limbs, self._pairs = _body_limbs(teacher.skeleton)
        if len(self._limbs) == 0 and (limb_ratio or limb_asymmetry):
            accepted = f"null, and limb_asymmetry=null: {teacher.skeleton.name} has no two joints of a limb of the body"
            raise RefusedError("limb_ratio", limb_ratio, accepted)

    def label(self, request: TeacherRequest) -> Labels:
        """Have frames labelled, and reject what can hardly be right."""
        labels = self._teacher.label(request)
        keypoints = labels.keypoints
        found = keypoints[..., 2] > 0
        somebody = found.any(-1)
        counts = dict(labels.counts)

        def reject(reason: str, wrong: Tensor) -> None:
            nonlocal found
            counts[f"labels_rejected/{reason}"] = int((found & wrong).sum())
            found = found & ~wrong

        reject("low_confidence", keypoints[..., 2] < self._min_confidence)
        if self._inside:
            reject("outside_frame", _outside(keypoints, request.frame_size))
        if self._limb_ratio is not None:
            reject("long_limb", self._too_long(keypoints, found, self._limb_ratio))
        if self._limb_asymmetry is not None:
            reject("asymmetric_limb", self._asymmetric(keypoints, found, self._limb_asymmetry))
        gone = somebody & (found.sum(-1) < self._min_joints)
        counts["labels_rejected/few_joints"] = int(gone.sum())  # people, not joints
        keypoints = keypoints * (found & ~gone.unsqueeze(-1)).unsqueeze(-1)
        nobody_left = somebody.any(-1) & ~(somebody & ~gone).any(-1)
        unusable = nobody_left if labels.unusable is None else nobody_left | labels.unusable
        return Labels(
            _close_ranks(keypoints), labels.confidence_maps, labels.part_affinity_fields, counts, unusable=unusable
        )

    def _too_long(self, keypoints: Tensor, found: Tensor, ratio: float) -> Tensor:
        """Tell which joints make a limb too long for the person, shape (frames, people, joints)."""
        length = self._lengths(keypoints, found)
        usual = length.nanmedian(-1, keepdim=True).values
        enough = (~length.isnan()).sum(-1, keepdim=True) >= _FEWEST_LIMBS
        return self._blame(keypoints, enough & (length > ratio * usual))

    def _asymmetric(self, keypoints: Tensor, found: Tensor, ratio: float) -> Tensor:
        """Tell which joints make a limb too long for that of the other side, shape (frames, people, joints)."""
        length = self._lengths(keypoints, found)
        wrong = torch.zeros_like(length, dtype=torch.bool)
        for own, other in (self._pairs.T, self._pairs.T.flip(0)):
            wrong[..., own] = length[..., own] > ratio * length[..., other]
        return self._blame(keypoints, wrong)

    def _lengths(self, keypoints: Tensor, found: Tensor) -> Tensor:
        """Measure the limbs, px, shape (frames, people, limbs); NaN where an end was not found."""
        start, end = self._limbs.T
        length = torch.linalg.vector_norm(keypoints[..., start, :2] - keypoints[..., end, :2], dim=-1)
        return length.where(found[..., start] & found[..., end], torch.nan)

    def _blame(self, keypoints: Tensor, wrong: Tensor) -> Tensor:
        """Choose the joints to reject from wrong limbs, shape (frames, people, limbs)."""
        start, end = self._limbs.T
        wrong = wrong.int()
        none = torch.zeros(keypoints.shape[:-1], dtype=wrong.dtype)
        times = none.index_add(-1, start, wrong).index_add(-1, end, wrong)
        more = times[..., start] - times[..., end]
        surer = keypoints[..., start, 2] - keypoints[..., end, 2]
        start_wrong = (more > 0) | ((more == 0) & (surer <= 0))
        end_wrong = (more < 0) | ((more == 0) & (surer >= 0))
        return none.index_add(-1, start, wrong * start_wrong).index_add(-1, end, wrong * end_wrong) > 0


def _body_limbs(skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Find the body's limbs in a joint set.

    Returns:
        Their two joints, shape (limbs, 2); the limbs that are each other's other side, shape (pairs, 2).
    """
    names = [limb for limb in get_skeleton("body-12").limb_names if all(joint in skeleton.joints for joint in limb)]
    limbs = [[skeleton.index(joint) for joint in limb] for limb in names]
    mirrored = [(other_side(start), other_side(end)) for start, end in names]
    pairs = [[at, names.index(other)] for at, other in enumerate(mirrored) if other in names[at + 1 :]]
    return torch.tensor(limbs).view(-1, 2), torch.tensor(pairs, dtype=torch.int64).view(-1, 2)


def _outside(keypoints: Tensor, frame_size: tuple[int, int]) -> Tensor:
    location = keypoints[..., :2]
    return ((location < 0) | (location > location.new_tensor(frame_size))).any(-1)


def _close_ranks(keypoints: Tensor) -> Tensor:
    """Move people of whom nothing remains behind the others, which keep their order."""
    empty = ~(keypoints[..., 2] > 0).any(-1)
    order = empty.int().argsort(dim=1, stable=True)
    return keypoints.take_along_dim(order[..., None, None], dim=1)
