"""A student of one joint set from a student of another: what the two have in common, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pose_oad.poses.skeleton import Skeleton
from pose_oad.students.config import StudentConfig
from pose_oad.students.network import PoseStudent


@dataclass(frozen=True)
class SharedChannels:
    """Which channels of one joint set's maps serve another's."""

    #: places of a joint in the source and in the target, for each joint that both have
    joints: tuple[tuple[int, int], ...]
    #: places of a limb in the source and in the target, and -1 where the target's runs the other way, else 1
    limbs: tuple[tuple[int, int, int], ...]
    #: joints and limbs of the target that the source lacks, as ``neck`` and ``left_hip-left_knee``
    fresh: tuple[str, ...]

    @classmethod
    def of(cls, source: Skeleton, target: Skeleton) -> SharedChannels:
        """Match two joint sets by name."""
        joints, limbs, fresh = [], [], []
        for at, joint in enumerate(target.joints):
            if joint in source.joints:
                joints.append((source.joints.index(joint), at))
            else:
                fresh.append(joint)
        for at, (start, end) in enumerate(target.limb_names):
            if (start, end) in source.limb_names:
                limbs.append((source.limb_names.index((start, end)), at, 1))
            elif (end, start) in source.limb_names:
                limbs.append((source.limb_names.index((end, start)), at, -1))
            else:
                fresh.append(f"{start}-{end}")
        return cls(tuple(joints), tuple(limbs), tuple(fresh))


def with_joint_set(student: PoseStudent, wanted: StudentConfig) -> tuple[PoseStudent, SharedChannels]:
    """Build the same network with another joint set from a student's trunk and head.

    Channels of joints and limbs that both have are kept. The others start from torch's random initial weights, so a
    caller who wants the same student again seeds torch before.

    Returns:
        The new network in evaluation mode, on the CPU, and what it shares with the old one.
    """
    new = PoseStudent(replace(wanted, pretrained=False, foreground=student.config.foreground)).eval()
    shared = SharedChannels.of(student.skeleton, new.skeleton)
    weights = {name: value.detach().cpu() for name, value in student.state_dict().items()}
    new.load_state_dict(weights | _output_layers(weights, student, new, shared))
    return new, shared


def _output_layers(
    weights: dict[str, Tensor], student: PoseStudent, new: PoseStudent, shared: SharedChannels
) -> dict[str, Tensor]:
    """Return the layers that compute the maps, in the new network's shapes."""
    layers = [f"head.{name}" for name in new.head.outputs]
    old_joints, new_joints = len(student.skeleton), len(new.skeleton)
    # Rows of all output layers together: a row per joint, then an x and a y row per limb.
    rows = [(source, target, 1) for source, target in shared.joints]
    for source, target, sign in shared.limbs:
        rows += [(old_joints + 2 * source + part, new_joints + 2 * target + part, sign) for part in (0, 1)]
    sources, targets, signs = torch.tensor(rows, dtype=torch.long).view(-1, 3).unbind(1)
    made: dict[str, Tensor] = {}
    fresh = new.state_dict()
    for part in ("weight", "bias"):
        blank = [fresh[f"{layer}.{part}"] for layer in layers]
        joined = torch.cat(blank)
        kept = torch.cat([weights[f"{layer}.{part}"] for layer in layers])[sources]
        joined[targets] = kept * signs.view(-1, *[1] * (kept.ndim - 1))
        pieces = joined.split([len(layer) for layer in blank])
        made |= {f"{layer}.{part}": piece for layer, piece in zip(layers, pieces, strict=True)}
    return made
