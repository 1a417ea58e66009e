"""Frames as points: what is near what, and choosing points far from each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from callbacks.strategies.base import Spacing
from pose_oad.poses.skeleton import Skeleton

_TORSO = ("left_shoulder", "right_hip")


class Points(NamedTuple):
    """Frames as points, of which some coordinates may be unknown."""

    values: Tensor  #: float32, 0 where unknown, shape (points, dimensions)
    known: Tensor  #: 1 where a coordinate is known, else 0, float32, the same shape

    def take(self, rows: np.ndarray | slice) -> Points:
        """Return some of the points."""
        return Points(self.values[rows], self.known[rows])

    @property
    def seen(self) -> np.ndarray:
        """Of which points something is known, bool, shape (points,)."""
        return self.known.any(1).numpy()


def pooled_points(vectors: Tensor) -> Points:
    """Return vectors that are known in full, brought to length 1."""
    return Points(normalize(vectors.float()), torch.ones_like(vectors, dtype=torch.float32))


def pose_points(poses: Tensor, skeleton: Skeleton, threshold: float) -> Points:
    """Return poses about their centre, in units of their torso; the distance of two is the RMS one of their joints.

    The torso is measured from left shoulder to right hip, its middle is the centre. Where one of these is missing, the
    mean of the joints is; there, and where the torso is seen from its end, the root mean square distance of the joints
    from the centre is the unit.

    Args:
        poses: shape (poses, joints, 3)
        skeleton: their joint set
        threshold: confidence from which a joint is known; 0 takes every joint above
    """
    known = ((poses[..., 2] >= threshold) & (poses[..., 2] > 0)).float().unsqueeze(-1)
    count = known.sum(1, keepdim=True).clamp(min=1)
    places = poses[..., :2].float().nan_to_num() * known
    centre, torso = places.sum(1, keepdim=True) / count, torch.zeros(len(poses), 1, 1)
    if all(joint in skeleton.joints for joint in _TORSO):
        ends = [skeleton.index(joint) for joint in _TORSO]
        both = known[:, ends].prod(1, keepdim=True)
        centre = places[:, ends].mean(1, keepdim=True).where(both > 0, centre)
        torso = both * places[:, ends].diff(dim=1).norm(dim=-1, keepdim=True)
    places = (places - centre) * known
    size = (places.square().sum((1, 2), keepdim=True) / count).sqrt()
    size = torso.where(torso > size / 2, size)
    values = places / size.clamp(min=1e-6) / len(skeleton) ** 0.5
    return Points(values.flatten(1), known.expand_as(places).flatten(1))


def distances(some: Points, others: Points) -> np.ndarray:
    """Return distances over the coordinates that both know, as if these stood for all; 0 where there are none.

    Returns:
        shape (some, others), float32.
    """
    if some.known.all() and others.known.all():
        return torch.cdist(some.values, others.values).numpy()
    square = some.values.square() @ others.known.T + some.known @ others.values.square().T
    square -= 2 * some.values @ others.values.T
    common = some.known @ others.known.T
    return (square.clamp(min=0) * some.values.shape[1] / common.clamp(min=1)).sqrt().numpy()


def nearest(points: Points, others: Points) -> np.ndarray:
    """Return the distance of each point to the nearest of others, infinite where there are none, shape (points,)."""
    if not len(others.values):
        return np.full(len(points.values), np.inf, dtype=np.float32)
    return distances(points, others).min(1)


def farthest_first(
    points: Points,
    near: np.ndarray,
    spacing: Spacing,
    score: Callable[[np.ndarray], np.ndarray] = lambda near: near,
) -> list[int]:
    """Choose points one after another, each the farthest from all before; those of which nothing is known come last.

    Args:
        points: what is chosen from
        near: distance of each to what has been chosen before, shape (points,); infinite: nothing has, and the first is
            the one nearest to the mean
        spacing: how many, and how far apart
        score: turns distances to what has been chosen into what is to be largest
    """
    chosen: list[int] = []
    near = np.where(points.seen, near, -1.0)
    while len(chosen) < spacing.k:
        if np.isinf(near).any():
            mean = points.values.sum(0) / points.known.sum(0).clamp(min=1)
            middle = Points(mean[None], torch.ones_like(mean)[None])
            at = spacing.take_best(np.where(near < 0, -np.inf, -distances(points, middle)[:, 0]))
        else:
            at = spacing.take_best(score(near))
        chosen.append(at)
        near = np.minimum(near, distances(points, points.take(slice(at, at + 1)))[:, 0])
    return chosen


def similarity(found: Tensor, wanted: Tensor, skeleton: Skeleton) -> Tensor:
    """Return the object keypoint similarity of poses, the area taken from the box around the wanted joints.

    Args:
        found: shape (poses, joints, 3), px
        wanted: likewise; joints of confidence 0 have no say
        skeleton: their joint set

    Returns:
        shape (poses,), in [0, 1]; NaN where no joint is wanted.
    """
    known, places = wanted[..., 2] > 0, wanted[..., :2]
    low = places.masked_fill(~known.unsqueeze(-1), torch.inf).amin(1)
    high = places.masked_fill(~known.unsqueeze(-1), -torch.inf).amax(1)
    area = (high - low).clamp(min=1).prod(-1, keepdim=True)
    spread = 2 * (2 * torch.tensor(skeleton.sigmas)).square() * area
    alike = torch.exp(-(found[..., :2] - places).square().sum(-1) / spread)
    return alike.where(known, 0).sum(1) / known.sum(1)
