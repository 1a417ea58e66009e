"""Frames as vectors of length 1: of two that resemble each other, the inner product is large."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from pose_oad.online.batch import LabelledBatch
from pose_oad.students import PoseStudent

_SIDE = 16  # px of a thumbnail
_CHUNK = 32  # frames at a time


def of_pose(batch: LabelledBatch, student: PoseStudent | None = None) -> Tensor:
    """Return the best person's joints about their mean, whatever its size; what is missing is zero."""
    if not batch.keypoints.shape[1]:
        return torch.zeros(len(batch), 2 * batch.keypoints.shape[2])
    joints = batch.keypoints[:, 0].float()
    found = (joints[..., 2:] > 0) & joints[..., :2].isfinite().all(-1, keepdim=True)
    places = joints[..., :2].where(found, 0)
    mean = places.sum(1, keepdim=True) / found.sum(1, keepdim=True).clamp(min=1)
    return normalize(((places - mean) * found).flatten(1))


def of_thumbnail(batch: LabelledBatch, student: PoseStudent | None = None) -> Tensor:
    """Return the grey values of the picture in small, about their mean."""
    return thumbnails(batch.frames)


def thumbnails(frames: Tensor) -> Tensor:
    """Return the same of frames, RGB uint8, shape (frames, height, width, 3)."""
    grey = [adaptive_avg_pool2d(part.float().mean(-1).unsqueeze(1), _SIDE) for part in frames.split(_CHUNK)]
    values = torch.cat(grey).flatten(1)
    return normalize(values - values.mean(1, keepdim=True))


def of_features(batch: LabelledBatch, student: PoseStudent) -> Tensor:
    """Return the mean of the student's deepest features over the picture."""
    return normalize(student.features(batch.frames, _CHUNK))


#: By what frames can be compared.
EMBEDDINGS: Mapping[str, Callable[[LabelledBatch, PoseStudent], Tensor]] = {
    "pose": of_pose,
    "thumbnail": of_thumbnail,
    "features": of_features,
}
