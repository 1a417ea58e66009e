"""Joint sets by name: joints, limbs, left/right pairs, OKS constants, and mapping between any two.

Joint order is never implied anywhere in the project: a :class:`Skeleton` travels with its keypoints, and joints of two
sets are matched by name (:func:`joint_map`), with mid-points where one set has a joint of which the other has only the
sides (neck = mid-shoulders, pelvis = mid-hips).

A joint set of one's own, as a data set's category describes it, is written in plain values (:meth:`Skeleton.describe`)
wherever a name may stand; :func:`get_skeleton` reads either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from pose_oad.poses.joint_names import other_side
from pose_oad.tracking.errors import UserError, nearest, require
from pose_oad.tracking.schema import Text, build_options

# Per-joint standard deviations published with the COCO keypoint evaluation (OKS uses kappa = 2 sigma).
_COCO_SIGMA = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
_DEFAULT_SIGMA = 0.089  # joints that COCO does not define (neck, pelvis, toes, …) take the ankle's

#: Stands for the joint set of the training data, or of the checkpoint that was trained on it.
FROM_DATA = "data"

#: Joints that can be computed as the mean of two others.
MIDPOINTS: dict[str, tuple[str, str]] = {
    "neck": ("left_shoulder", "right_shoulder"),
    "pelvis": ("left_hip", "right_hip"),
}


@dataclass(frozen=True)
class Skeleton:
    """A named joint set."""

    name: str  #: how configs and checkpoints call it
    joints: tuple[str, ...]  #: joint names in channel order; sides are spelled ``left_`` and ``right_``
    #: pairs of joint indices that part affinity fields connect, from the first to the second
    limbs: tuple[tuple[int, int], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Return the position of a joint by name; refuse one that this skeleton has not."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise UserError(f"skeleton {self.name} has no joint '{joint}'{nearest(joint, self.joints)}") from None

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """Permutation of joints under a horizontal flip: ``flipped[j] = original[flip[j]]``.

        A joint without a counterpart is its own; ask :attr:`sided` whether mirror images may be labelled at all.
        """
        others = (other_side(joint) for joint in self.joints)
        return tuple(self.joints.index(other) if other in self.joints else at for at, other in enumerate(others))

    @property
    def sided(self) -> bool:
        """Whether names tell left from right, for each joint that has a side: else no mirror image can be labelled."""
        sides = [joint for joint in self.joints if other_side(joint) != joint]
        return bool(sides) and all(other_side(joint) in self.joints for joint in sides)

    @cached_property
    def sigmas(self) -> tuple[float, ...]:
        """OKS standard deviation of each joint (COCO's, by body part)."""
        return tuple(_COCO_SIGMA.get(joint.split("_")[-1], _DEFAULT_SIGMA) for joint in self.joints)

    @cached_property
    def limb_names(self) -> tuple[tuple[str, str], ...]:
        """Limbs as pairs of joint names."""
        return tuple((self.joints[a], self.joints[b]) for a, b in self.limbs)

    def describe(self) -> dict[str, Any]:
        """Return it in plain values: ``name``, ``joints`` and ``limbs`` as pairs of joint names."""
        return {"name": self.name, "joints": list(self.joints), "limbs": [list(limb) for limb in self.limb_names]}


def joint_map(source: Skeleton, target: Skeleton) -> Tensor:
    """Weights that turn keypoints of one joint set into another, by name.

    Returns:
        float matrix, shape (target joints, source joints): a row is one-hot where the joint exists in the source, holds
        two halves where it is a mid-point of two source joints, and is zero where the source cannot supply the joint.

    Raises:
        UserError: if the two sets have no joint in common.
    """
    weights = torch.zeros(len(target), len(source))
    for row, joint in enumerate(target.joints):
        if joint in source.joints:
            weights[row, source.joints.index(joint)] = 1.0
        elif joint in MIDPOINTS and all(side in source.joints for side in MIDPOINTS[joint]):
            for side in MIDPOINTS[joint]:
                weights[row, source.joints.index(side)] = 0.5
    if not weights.any():
        raise UserError(f"joint sets {source.name} and {target.name} have no joint in common")
    return weights


def map_keypoints(keypoints: Tensor, source: Skeleton, target: Skeleton) -> Tensor:
    """Convert keypoints, shape (..., joints, 3): x px, y px, confidence (0 = not found), between joint sets by name.

    A mid-point takes the smaller confidence of its two sides, so it is missing as soon as one side is. Joints that the
    source cannot supply are all zero; sets without a joint in common are refused.
    """
    if source == target:
        return keypoints
    weights = joint_map(source, target).to(keypoints)
    uses = weights > 0
    location = torch.einsum("ts,...sc->...tc", weights, keypoints[..., :2])
    confidence = keypoints[..., 2].unsqueeze(-2).expand(*keypoints.shape[:-2], len(target), len(source))
    # The less sure side decides; a joint that the source cannot supply has none.
    confidence = confidence.masked_fill(~uses, torch.inf).amin(-1).masked_fill(~uses.any(-1), 0.0)
    found = confidence > 0
    return torch.cat([location, confidence.unsqueeze(-1)], -1) * found.unsqueeze(-1)


def _sided(*parts: str, first: str = "left") -> tuple[str, ...]:
    second = "right" if first == "left" else "left"
    return tuple(f"{side}_{part}" for part in parts for side in (first, second))


def _limbs(joints: tuple[str, ...], *pairs: str) -> tuple[tuple[int, int], ...]:
    """Read limbs written ``"a>b"``; ``"*"`` at the start of a name stands for both sides in turn."""
    limbs = []
    for pair in pairs:
        sides = ("left_", "right_") if "*" in pair else ("",)
        for side in sides:
            start, end = pair.replace("*", side).split(">")
            limbs.append((joints.index(start), joints.index(end)))
    return tuple(limbs)


_BODY_12 = _sided("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_COCO_17 = ("nose", *_sided("eye", "ear"), *_BODY_12)
_TRT_18 = (*_COCO_17, "neck")
_OPENPOSE_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
_BODY_25 = (
    *_OPENPOSE_18[:8], "pelvis", *_OPENPOSE_18[8:],
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
# OpenPose's POSE_BODY_PART_PAIRS of this set, in its order; toes hang on the big toe and the ankle.
_BODY_25_LIMBS = (
    "neck>pelvis", "neck>right_shoulder", "neck>left_shoulder", "right_shoulder>right_elbow",
    "right_elbow>right_wrist", "left_shoulder>left_elbow", "left_elbow>left_wrist", "pelvis>right_hip",
    "right_hip>right_knee", "right_knee>right_ankle", "pelvis>left_hip", "left_hip>left_knee", "left_knee>left_ankle",
    "neck>nose", "nose>right_eye", "right_eye>right_ear", "nose>left_eye", "left_eye>left_ear",
    "right_shoulder>right_ear", "left_shoulder>left_ear", "left_ankle>left_big_toe", "left_big_toe>left_small_toe",
    "left_ankle>left_heel", "right_ankle>right_big_toe", "right_big_toe>right_small_toe", "right_ankle>right_heel",
)  # fmt: skip
_HUMAN36M_32 = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "right_foot", "right_toe",
    "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe",
    "pelvis_copy", "spine", "neck", "nose", "head", "neck_left_copy", "left_shoulder", "left_elbow", "left_wrist",
    "left_wrist_copy", "left_thumb", "left_hand", "left_hand_copy",
    "neck_right_copy", "right_shoulder", "right_elbow", "right_wrist",
    "right_wrist_copy", "right_thumb", "right_hand", "right_hand_copy",
)  # fmt: skip
_HUMAN36M_17_OF_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
_HUMAN36M_17 = tuple(_HUMAN36M_32[i] for i in _HUMAN36M_17_OF_32)
_OPENPOSE_LIMBS = (
    "neck>right_shoulder", "neck>left_shoulder", "right_shoulder>right_elbow", "right_elbow>right_wrist",
    "left_shoulder>left_elbow", "left_elbow>left_wrist", "neck>right_hip", "right_hip>right_knee",
    "right_knee>right_ankle", "neck>left_hip", "left_hip>left_knee", "left_knee>left_ankle", "neck>nose",
    "nose>right_eye", "right_eye>right_ear", "nose>left_eye", "left_eye>left_ear",
    "right_shoulder>right_ear", "left_shoulder>left_ear",
)  # fmt: skip
_BODY_LIMBS = (
    "*ankle>*knee", "*knee>*hip", "left_hip>right_hip", "*shoulder>*hip", "left_shoulder>right_shoulder",
    "*shoulder>*elbow", "*elbow>*wrist",
)  # fmt: skip
# The 21 limbs of trt_pose's human_pose.json, in its channel order.
_TRT_LIMBS = (
    "left_ankle>left_knee", "left_knee>left_hip", "right_ankle>right_knee", "right_knee>right_hip",
    "left_hip>right_hip", "*shoulder>*elbow", "*elbow>*wrist", "left_eye>right_eye", "nose>*eye", "*eye>*ear",
    "*ear>*shoulder", "neck>nose", "neck>*shoulder", "neck>*hip",
)  # fmt: skip

_ALL = (
    Skeleton("body-12", _BODY_12, _limbs(_BODY_12, *_BODY_LIMBS)),
    Skeleton("coco-17", _COCO_17, _limbs(_COCO_17, *_BODY_LIMBS, "nose>*eye", "*eye>*ear", "*ear>*shoulder")),
    Skeleton("coco-18", _OPENPOSE_18, _limbs(_OPENPOSE_18, *_OPENPOSE_LIMBS)),
    Skeleton("trt-pose-18", _TRT_18, _limbs(_TRT_18, *_TRT_LIMBS)),
    Skeleton("body-25", _BODY_25, _limbs(_BODY_25, *_BODY_25_LIMBS)),
    Skeleton("human36m-32", _HUMAN36M_32, _limbs(_HUMAN36M_32, *_BODY_LIMBS)),
    Skeleton("human36m-17", _HUMAN36M_17, _limbs(_HUMAN36M_17, *_BODY_LIMBS)),
)
SKELETONS: dict[str, Skeleton] = {skeleton.name: skeleton for skeleton in _ALL}


def get_skeleton(name: str | Mapping[str, Any]) -> Skeleton:
    """Look a joint set up by name, or read the description that :meth:`Skeleton.describe` returns."""
    if isinstance(name, Mapping):
        return build_options(_described, name, "skeleton")
    if name == FROM_DATA:
        raise UserError(f"skeleton={name}: stands for the joint set of a training set or checkpoint; none is read here")
    try:
        return SKELETONS[name]
    except KeyError:
        raise UserError(f"skeleton={name}: unknown joint set{nearest(name, SKELETONS)}") from None


def _described(
    name: Text, joints: Annotated[tuple[Text, ...], Field(min_length=1)], limbs: tuple[tuple[str, str], ...]
) -> Skeleton:
    require(len(set(joints)) == len(joints), "joints", list(joints), "different names")
    for limb in limbs:
        require(limb[0] != limb[1] and set(limb) <= set(joints), "limbs", list(limb), "pairs of two of its joints")
    return Skeleton(name, joints, tuple((joints.index(start), joints.index(end)) for start, end in limbs))
