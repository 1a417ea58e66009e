"""What a COCO file says of its joints: the category that is wanted, its joint set, its limbs, its OKS constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pose_oad.poses.joint_names import joint_name
from pose_oad.poses.skeleton import SKELETONS, Skeleton, get_skeleton
from pose_oad.tracking.errors import UserError, nearest
from pose_oad.tracking.schema import check_value

#: ``data.category``: every category that has keypoints, as if it were one.
EVERY = "all"

_Fraction = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class Category:
    """What is annotated: one category of a file, or several with the same joints, taken as one."""

    path: Path  #: the annotation file
    id: int  #: the id in the file (the first one's, of several)
    ids: frozenset[int]  #: the ids in the file of all that are taken
    name: str  #: its name
    joints: Skeleton  #: joint set, names in the project's spelling, without limbs
    limbs: Any  #: ``skeleton`` as the file has it, pairs of joint numbers from 1; None where it has none
    sigmas: tuple[float, ...] | None  #: OKS standard deviation of each joint where the file gives them

    def joint_set(self) -> Skeleton:
        """Return the joint set with limbs, as a student can be trained on it.

        The limbs are those of the file's ``skeleton``. Where it has none, they are those of the body (COCO's) whose
        two ends the set holds. Limbs that are no pairs of the joints, or none at all, are refused.
        """
        if self.joints.name in SKELETONS and not self.limbs:
            return self.joints
        if self.limbs:
            limbs = _read_limbs(self.limbs, len(self.joints), self.path, self.name)
        else:
            held = self.joints.joints
            body = [limb for limb in get_skeleton("coco-17").limb_names if set(limb) <= set(held)]
            limbs = tuple((held.index(start), held.index(end)) for start, end in body)
        if not limbs:
            raise UserError(f'{self.path}: category {self.name} has no limbs; expected "skeleton": [[1, 2], …]')
        return Skeleton(f"{self.name}-{len(self.joints)}", self.joints.joints, limbs)


def choose_category(categories: Sequence[Mapping[str, Any]], path: Path, wanted: str | None = None) -> Category:
    """Find the category of a file to train and evaluate on.

    Args:
        categories: the file's
        path: the file
        wanted: ``data.category``: a name; ``all`` for every category with keypoints, taken as one; None for "person",
            or for the only one with keypoints
    """
    named = [category for category in categories if category.get("keypoints")]
    names = [category.get("name") for category in categories]
    if wanted is not None:
        wanted = str(wanted)  # a name that is a number comes as one from a command line
    if wanted == EVERY:
        chosen = named
    elif wanted is not None:
        chosen = [category for category in named if str(category.get("name")) == wanted]
        if len(chosen) != 1:
            close = nearest(wanted, [str(category.get("name")) for category in named])
            raise UserError(f"category={wanted}: not one of those with keypoints in {path}{close}")
    else:
        people = [category for category in named if category.get("name") == "person"]
        chosen = people or named
        if len(chosen) > 1:
            raise UserError(f"{path}: several categories with keypoints, {names}; expected category=<name>, or all")
    if not chosen:
        raise UserError(f"{path}: categories {names}; expected one with keypoints, or one of these called person")
    return _merged([_read_category(category, path) for category in chosen])


def _read_category(entry: Mapping[str, Any], path: Path) -> Category:
    name, spellings = str(entry.get("name")), entry["keypoints"]
    number = check_value(int, entry.get("id"), f"{path}: id of category {name}")
    check_value(list[str], spellings, f"{path}: keypoints of category {name}")
    joints = tuple(joint_name(spelling) for spelling in spellings)
    for spelling, joint in zip(spellings, joints, strict=True):
        if not joint:
            raise UserError(f"{path}: keypoint {spelling!r} of category {name}; expected a name")
        if joints.count(joint) > 1:
            same = [other for other, found in zip(spellings, joints, strict=True) if found == joint]
            raise UserError(f"{path}: keypoints {same} of category {name} are the same joint, {joint}; expected one")
    sigmas = entry.get("sigmas")
    if sigmas is not None:
        sigmas = tuple(check_value(list[_Fraction], sigmas, f"{path}: sigmas of category {name}"))
        if len(sigmas) != len(joints):
            raise UserError(f"{path}: {len(sigmas)} sigmas of category {name}; expected {len(joints)}")
    return Category(path, number, frozenset([number]), name, _named(joints, name), entry.get("skeleton"), sigmas)


def _merged(categories: list[Category]) -> Category:
    first = categories[0]
    for other in categories[1:]:
        if other.joints.joints != first.joints.joints:
            raise UserError(f"category={EVERY}: keypoints of {first.name} and {other.name} in {first.path} differ")
    ids = frozenset().union(*(category.ids for category in categories))
    name = first.name if len(categories) == 1 else EVERY
    joints = _named(first.joints.joints, name)
    return Category(first.path, first.id, ids, name, joints, first.limbs, first.sigmas)


def _named(joints: tuple[str, ...], category: str) -> Skeleton:
    """Recognise a joint set of the project, or name a new one after its category."""
    known = [skeleton for skeleton in SKELETONS.values() if skeleton.joints == joints]
    return known[0] if known else Skeleton(f"{category}-{len(joints)}", joints)


def _read_limbs(limbs: Any, joints: int, path: Path, name: str) -> tuple[tuple[int, int], ...]:
    """Turn COCO's pairs, which count joints from 1, into pairs of indices."""
    number = Annotated[int, Field(ge=1, le=joints)]
    pairs = check_value(list[tuple[number, number]], limbs, f"{path}: skeleton of category {name}")
    for limb in pairs:
        if limb[0] == limb[1]:
            raise UserError(f"{path}: limb {list(limb)} of category {name}; expected two different joints")
    return tuple((start - 1, end - 1) for start, end in pairs)
