"""Labels of frames in the student's geometry: maps on its grid, joints matched with its own by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.maps import MapTargets
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.teachers.base import stack_people


@dataclass(frozen=True)
class WindowLabels:
    """Labels of some frames of a window, in the teacher's joint set."""

    skeleton: Skeleton  #: the teacher's joint set
    keypoints: Tensor  #: people of each frame, best first, original px, shape (frames, people, joints, 3)
    #: the teacher's maps on the student's map grid, shape (frames, joints, rows, columns), where kept
    confidence_maps: Tensor | None = None
    part_affinity_fields: Tensor | None = None  #: likewise, shape (frames, limbs, 2, rows, columns)
    unusable: Tensor | None = None  #: frames that teach nothing, bool, shape (frames,); None: no such frame

    @property
    def nobody(self) -> Tensor:
        """Frames in which nobody was found, bool, shape (frames,)."""
        return ~(self.keypoints[..., 2] > 0).flatten(1).any(1)

    def person(self, skeleton: Skeleton) -> Tensor:
        """Return each frame's best person in another joint set, shape (frames, joints, 3), original px; else zero."""
        if self.keypoints.shape[1] == 0:
            return self.keypoints.new_zeros(len(self.keypoints), len(skeleton), 3)
        return map_keypoints(self.keypoints[:, 0], self.skeleton, skeleton)

    def people(self, skeleton: Skeleton) -> Tensor:
        """Return everybody in each frame in another joint set, original px, shape (frames, people, joints, 3)."""
        return map_keypoints(self.keypoints, self.skeleton, skeleton)

    def take(self, rows: np.ndarray) -> WindowLabels:
        """Return the labels of some of the frames, by row."""
        index = torch.from_numpy(rows)
        others = (self.confidence_maps, self.part_affinity_fields, self.unusable)
        return WindowLabels(self.skeleton, self.keypoints[index], *(None if o is None else o[index] for o in others))


def stack_labels(parts: list[WindowLabels]) -> WindowLabels:
    """Concatenate labels of several frames, padding them to the largest number of people."""
    parts = [part for part in parts if len(part.keypoints)]
    keypoints = stack_people([frame for part in parts for frame in part.keypoints], len(parts[0].skeleton))
    maps = [part.confidence_maps for part in parts if part.confidence_maps is not None]
    fields = [part.part_affinity_fields for part in parts if part.part_affinity_fields is not None]
    unusable = None
    if any(part.unusable is not None for part in parts):
        usable = torch.zeros(len(keypoints), dtype=torch.bool).split([len(part.keypoints) for part in parts])
        unusable = torch.cat([u if p.unusable is None else p.unusable for p, u in zip(parts, usable, strict=True)])
    return WindowLabels(
        parts[0].skeleton, keypoints, torch.cat(maps) if maps else None, torch.cat(fields) if fields else None, unusable
    )


def match_maps(labels: WindowLabels, skeleton: Skeleton) -> tuple[MapTargets, Tensor, Tensor]:
    """Pick from a teacher's maps the channels that a student has, by joint and limb name.

    A limb that the teacher directs the other way has its field's sign turned.

    Returns:
        the maps; which joints the teacher has a map for, bool, shape (joints,); which limbs it has a field for, bool,
        shape (limbs,). Channels it has not are zero.
    """
    maps, fields = labels.confidence_maps, labels.part_affinity_fields
    if maps is None or fields is None:
        raise ValueError("labels without maps")
    joints = torch.tensor([joint in labels.skeleton.joints for joint in skeleton.joints])
    sources = [labels.skeleton.index(joint) for joint, known in zip(skeleton.joints, joints, strict=True) if known]
    picked = maps.new_zeros(len(maps), len(skeleton), *maps.shape[2:])
    picked[:, joints] = maps[:, sources]
    forward = {limb: (channel, 1.0) for channel, limb in enumerate(labels.skeleton.limb_names)}
    own = {(end, start): (channel, -1.0) for (start, end), (channel, _) in forward.items()} | forward
    limbs = torch.tensor([limb in own for limb in skeleton.limb_names])
    directed = fields.new_zeros(len(fields), len(skeleton.limbs), *fields.shape[2:])
    for channel, limb in enumerate(skeleton.limb_names):
        if limb in own:
            source, sign = own[limb]
            directed[:, channel] = sign * fields[:, source]
    return MapTargets(picked, directed), joints, limbs
