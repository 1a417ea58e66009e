"""Labelled frames: what the label service makes of a teacher's word, and what a student trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import MapTargets
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.teachers.window_labels import WindowLabels, match_maps

#: Where a frame of a batch comes from: the present window, the memory, the annotated source set.
NEW, REPLAYED, SOURCE = 0, 1, 2


@dataclass(frozen=True)
class LabelledBatch:
    """Some frames with what is known about them.

    Attributes:
        frames: RGB uint8, shape (frames, height, width, 3), at the student's input size
        keypoints: people of each frame, input px, shape (frames, people, joints, 3); confidence 0 = not labelled
        known: of which joints anything is known, bool, shape (frames, joints)
        known_limbs: of which limbs anything is known, beside what follows from the joints, bool, shape (frames, limbs)
        frame_ids: numbers of the frames in the stream, int64, shape (frames,)
        maps: maps to train towards; None renders the people
        weight: how much each frame counts, shape (frames,); None counts them alike
        origin: where each frame comes from, :data:`NEW`, :data:`REPLAYED` or :data:`SOURCE`, int8, shape (frames,); all
            are new where nothing is said
        metric_scale: px of the reported metric per px of the input, along x and y, shape (frames, 2); None where
            nothing is measured
    """

    frames: Tensor
    keypoints: Tensor
    known: Tensor
    known_limbs: Tensor
    frame_ids: Tensor
    maps: MapTargets | None = None
    weight: Tensor | None = None
    origin: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int8))
    metric_scale: Tensor | None = None

    def __post_init__(self) -> None:
        """Mark frames as new."""
        if len(self.origin) != len(self.frames):
            object.__setattr__(self, "origin", torch.full((len(self.frames),), NEW, dtype=torch.int8))

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def empty(self) -> Tensor:
        """Frames without a person, bool, shape (frames,)."""
        return ~(self.keypoints[..., 2] > 0).flatten(1).any(1)

    @property
    def nbytes(self) -> int:
        """Size of all tensors."""
        return sum(part.nbytes for value in vars(self).values() for part in _parts(value))

    def take(self, rows: Tensor) -> LabelledBatch:
        """Return some of the frames.

        Args:
            rows: their places, int64, or a mask, bool, shape (frames,)
        """
        taken: dict[str, Any] = {
            name: value[rows] if isinstance(value, Tensor) else value and MapTargets(*(part[rows] for part in value))
            for name, value in vars(self).items()
        }
        return LabelledBatch(**taken)

    def from_origin(self, origin: int) -> LabelledBatch:
        """Return the same frames, said to come from somewhere."""
        return replace(self, origin=torch.full_like(self.origin, origin))

    def with_maps(self, maps: MapTargets) -> LabelledBatch:
        """Return the same frames with maps to train towards."""
        return replace(self, maps=maps)

    def to(self, device: torch.device) -> LabelledBatch:
        """Return the frames and their people on a device."""
        return replace(self, frames=self.frames.to(device), keypoints=self.keypoints.to(device))

    def state_dict(self) -> dict[str, Any]:
        """Return everything in tensors and lists of them."""
        return {name: value if isinstance(value, Tensor) else value and [*value] for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> LabelledBatch:
        """Return the batch of :meth:`state_dict`."""
        return cls(**state | {"maps": state["maps"] and MapTargets(*state["maps"])})


def _parts(value: Tensor | MapTargets | None) -> Sequence[Tensor]:
    return () if value is None else (value,) if isinstance(value, Tensor) else value


def nothing_labelled(skeleton: Skeleton) -> LabelledBatch:
    """Return a batch without frames, whose people would have a joint set, with a scale of a metric."""
    joints, limbs = (torch.zeros(0, len(part), dtype=torch.bool) for part in (skeleton, skeleton.limbs))
    people = torch.zeros(0, 0, len(skeleton), 3)
    return LabelledBatch(
        torch.zeros(0, 0), people, joints, limbs, torch.zeros(0, dtype=torch.int64), metric_scale=torch.zeros(0, 2)
    )


def join(parts: Sequence[LabelledBatch]) -> LabelledBatch:
    """Put batches together; all of them have maps, or none, and frames of one weight count 1 beside weighed ones.

    Args:
        parts: one batch or more

    Raises:
        ValueError: if some have maps and some have none.
    """
    if len(parts) == 1:
        return parts[0]
    people = max(part.keypoints.shape[1] for part in parts)
    keypoints = [pad(part.keypoints, (0, 0, 0, 0, 0, people - part.keypoints.shape[1])) for part in parts]
    maps = [part.maps for part in parts if part.maps is not None]
    scales = [part.metric_scale for part in parts if part.metric_scale is not None]
    if maps and len(maps) < len(parts):
        raise ValueError("some of the batches have maps, and some have none")
    weighed = any(part.weight is not None for part in parts)
    weights = [torch.ones(len(part)) if part.weight is None else part.weight for part in parts]
    return LabelledBatch(
        torch.cat([part.frames for part in parts]),
        torch.cat(keypoints),
        torch.cat([part.known for part in parts]),
        torch.cat([part.known_limbs for part in parts]),
        torch.cat([part.frame_ids for part in parts]),
        MapTargets(*(torch.cat(part) for part in zip(*maps, strict=True))) if maps else None,
        torch.cat(weights) if weighed else None,
        torch.cat([part.origin for part in parts]),
        torch.cat(scales) if len(scales) == len(parts) else None,
    )


def labelled_batch(
    window: FrameWindow, positions: np.ndarray, labels: WindowLabels, skeleton: Skeleton, supplied: Tensor
) -> LabelledBatch:
    """Turn a teacher's labels of a window's chosen frames into what a student is to learn.

    A frame without a person is background, where every joint is known to be absent, unless its labels are unusable:
    then nothing is known. What is known around a person that lacks a joint,
    :func:`~pose_oad.poses.maps.known_cells` says.

    Args:
        window: where the frames are from
        positions: ascending positions of the chosen frames in it
        labels: their labels
        skeleton: the student's joint set
        supplied: which of its joints the teacher's joint set has, bool, shape (joints,)

    Returns:
        The chosen frames, in order.
    """
    keypoints = window.to_input(map_keypoints(labels.keypoints, labels.skeleton, skeleton), positions)
    limbs, maps = torch.ones(len(skeleton.limbs), dtype=torch.bool), None
    if labels.confidence_maps is not None:
        maps, supplied, limbs = match_maps(labels, skeleton)
    known = supplied.expand(len(keypoints), -1)
    if labels.unusable is not None:
        known = known & ~labels.unusable.unsqueeze(1)
    chosen = torch.from_numpy(positions)
    ids = torch.from_numpy(window.ids)[chosen]
    return LabelledBatch(window.frames[chosen], keypoints, known, limbs.expand(len(known), -1), ids, maps)
