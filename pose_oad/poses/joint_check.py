"""Do student, teacher and ground truth speak of the same joints? Asked before a run is recorded."""

from __future__ import annotations

import logging

from pose_oad.poses.skeleton import Skeleton, joint_map
from pose_oad.tracking.errors import UserError

_LOG = logging.getLogger(__name__)


def check_joint_sets(student: Skeleton, *, teacher: Skeleton, truth: Skeleton | None) -> None:
    """Refuse joint sets that nothing can be learnt or measured with, and name the joints that are left out.

    Joints are matched by name, neck and pelvis computed from their sides. Where there is no ground truth, it is None.
    """
    untaught = _without(student, teacher, "teacher")
    if untaught:
        _LOG.warning(
            "the teacher's joint set %s has no %s; the student is not trained on them",
            teacher.name,
            ", ".join(untaught),
        )
    unmeasured = _without(student, truth, "stream: the ground truth") if truth is not None else []
    if unmeasured and truth is not None:
        _LOG.warning("the ground truth's joint set %s has no %s; not measured", truth.name, ", ".join(unmeasured))


def _without(student: Skeleton, source: Skeleton, whose: str) -> list[str]:
    try:
        supplied = joint_map(source, student).any(1).tolist()
    except UserError as error:
        raise UserError(f"{whose}'s joint set {source.name} has none of the student's {student.name}") from error
    return [joint for joint, there in zip(student.joints, supplied, strict=True) if not there]
