"""The teacher of a configuration: its parts, what is kept of its labels, what is filtered and corrected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from pose_oad.cli.command import build, factory_of, plain
from pose_oad.tracking.errors import UserError, check

if TYPE_CHECKING:
    from pose_oad.students import PoseStudent
    from pose_oad.teachers.base import Teacher

_ANY_SIZE = (64, 48)


def make_teacher(
    node: DictConfig,
    truth_skeleton: Any,
    label_cache: str | None = None,
    keep_maps: bool = False,
    student: PoseStudent | None = None,
) -> Teacher:
    """Build the teacher of a config node and its parts; a simulated one is told the true joint set.

    Args:
        node: the config node
        truth_skeleton: joint set of the stream's ground truth; None where there is none
        label_cache: folder in which labels are kept for later runs; None asks the teacher every time. A teacher that
            reads no pixels is not worth it, and is asked. Of an ensemble each member's are kept; what a filter makes of
            labels is not: another filter needs no new ones
        keep_maps: whether its maps are wanted, and kept, too
        student: the student of the run, which may teach itself

    Raises:
        UserError: if it refuses a value, or needs a ground truth that the stream has not.
    """
    from pose_oad.teachers.cache import CachedTeacher
    from pose_oad.teachers.identity import settings_key

    around = next((key for key in ("corrections", "label_filter") if key in node), None)
    if around is not None:
        behind = OmegaConf.masked_copy(node, [str(key) for key in node if key != around])
        behind._set_parent(node._get_parent())  # so that what it refuses is named by its whole key
        behind._set_key(node._key())
        teacher = make_teacher(behind, truth_skeleton, label_cache, keep_maps, student)
        if node[around] is None:
            return teacher
        return build(node[around], teacher=teacher) if around == "label_filter" else _corrected(teacher, node[around])
    if "members" in node:
        several = node.members is None or isinstance(node.members, DictConfig)
        check(several, "teacher.members", node.members, "teachers by name, as +teacher@teacher.members.first=onnx")
        members = {
            str(name): _make_part(f"members.{name}", member, truth_skeleton, label_cache, keep_maps, student)
            for name, member in (node.members or {}).items()
        }
        return build(node, without=["every", "members"], members=members)
    if "of" in node:
        inner = _make_part("of", node.of, truth_skeleton, label_cache, keep_maps, student)
        return build(node, without=["every", "of"], teacher=inner)
    factory, parts = factory_of(node), dict[str, Any]()
    if getattr(factory, "takes_student", False):
        parts["student"] = student
    if getattr(factory, "uses_truth", False):
        parts["skeleton"] = truth_skeleton
    if getattr(factory, "takes_detector", False) and node.get("detector") is not None:
        parts["detector"] = _make_part("detector", node.detector, None)
    teacher = build(node, without=["every", *parts], **parts)
    named = label_cache is None or (isinstance(label_cache, str) and bool(label_cache))
    check(named, "label_cache", label_cache, "a folder, or null")
    if label_cache is None or teacher.image_size(_ANY_SIZE) is None or not getattr(factory, "repeats_itself", True):
        return teacher
    return CachedTeacher(teacher, Path(label_cache), settings_key(plain(node)), keep_maps)


def _corrected(teacher: Teacher, path: object) -> Teacher:
    """Let what a person has corrected go before a teacher's labels."""
    from pose_oad.teachers.corrected import CorrectedTeacher

    there = isinstance(path, str) and Path(path).is_file()
    check(there, "teacher.corrections", path, "a file of COCO keypoints or Label Studio's JSON export, or null")
    return CorrectedTeacher(teacher, Path(str(path)))


def _make_part(name: str, node: Any, *others: Any) -> Teacher:
    """Build a teacher that is part of another; what it refuses is said with its name."""
    key = f"teacher.{name}"
    check(isinstance(node, DictConfig) and "_target_" in node, key, node, f"a teacher, as +teacher@{key}=onnx")
    try:
        return make_teacher(node, *others)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error
