"""Which candidate joints a limb connects, judged by the part affinity field between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_oad.maps.peaks import Peaks
from pose_oad.skeleton import Skeleton

# Points along a limb at which its field is read, ends included, as in OpenPose's released code.
_SAMPLES = 10


class Links(NamedTuple):
    """Accepted limbs of a batch, all of shape (links,).

    Attributes:
        first: number of the peak at the limb's first joint
        second: number of the peak at its second joint
        score: mean of the field along the limb, in its direction
    """

    first: np.ndarray
    second: np.ndarray
    score: np.ndarray


class _Pairs(NamedTuple):
    """Pairs of peaks that a limb might connect, all of shape (pairs,).

    ``group`` is ``image * limbs + limb``; ``first`` and ``second`` are numbers of peaks, ``row`` and ``column`` their
    ranks among the candidates of their joints.
    """

    group: Tensor
    first: Tensor
    second: Tensor
    row: Tensor
    column: Tensor


def find_links(
    peaks: Peaks, part_affinity_fields: Tensor, skeleton: Skeleton, *, threshold: float, share: float
) -> Links:
    """Choose the limbs of every image: at most one at a peak for each limb of the skeleton, the best in sum.

    A pair of peaks is a candidate where the field points from one to the other along the way (line integral of
    Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", 2017, equation 10).

    Args:
        peaks: candidate joints
        part_affinity_fields: shape (batch, limbs, 2, rows, columns), x then y component
        skeleton: joint set of the peaks
        threshold: what a point of the limb must exceed to count as supported
        share: fraction of the points that must be supported

    Returns:
        the chosen limbs of all images.
    """
    pairs = _candidates(peaks, part_affinity_fields.shape[0], skeleton)
    values = _read_along(peaks, pairs, part_affinity_fields)
    score = values.mean(-1)
    # A NaN in the field fails both comparisons, so it supports no limb.
    accepted = ((values > threshold).float().mean(-1) >= share) & (score > 0)
    group, first, second, row, column, scores = (part[accepted].cpu().numpy() for part in (*pairs, score))
    chosen = _assign(group, row, column, scores)
    return Links(first[chosen], second[chosen], scores[chosen])


def _candidates(peaks: Peaks, batch: int, skeleton: Skeleton) -> _Pairs:
    """List every pair of peaks of one image whose joints a limb connects."""
    device = peaks.map.device
    deepest = int(peaks.rank.max()) + 1 if len(peaks.rank) else 0
    table = torch.full((batch * len(skeleton), deepest), -1, device=device)
    table[peaks.map, peaks.rank] = torch.arange(len(peaks.map), device=device)
    table = table.view(batch, len(skeleton), deepest)
    ends = torch.tensor(skeleton.limbs, dtype=torch.long, device=device).view(-1, 2)
    starts, stops = table[:, ends[:, 0]].flatten(0, 1), table[:, ends[:, 1]].flatten(0, 1)
    group, row, column = ((starts >= 0).unsqueeze(2) & (stops >= 0).unsqueeze(1)).nonzero(as_tuple=True)
    return _Pairs(group, starts[group, row], stops[group, column], row, column)


def _read_along(peaks: Peaks, pairs: _Pairs, part_affinity_fields: Tensor) -> Tensor:
    """Read the field's component along each pair, shape (pairs, samples), between the cells by bilinear weights."""
    rows, columns = part_affinity_fields.shape[-2:]
    start = torch.stack([peaks.x[pairs.first], peaks.y[pairs.first]], -1)
    span = torch.stack([peaks.x[pairs.second], peaks.y[pairs.second]], -1) - start
    unit = span / torch.linalg.vector_norm(span, dim=-1, keepdim=True).clamp(min=1e-6)
    steps = torch.linspace(0, 1, _SAMPLES, device=start.device)
    # From continuous coordinates to those in which cell i has its centre at i.
    x = (start[:, :1] + span[:, :1] * steps - 0.5).clamp_(0, columns - 1)
    y = (start[:, 1:] + span[:, 1:] * steps - 0.5).clamp_(0, rows - 1)
    left, top = x.floor().clamp_(max=columns - 2), y.floor().clamp_(max=rows - 2)
    x, y = x.sub_(left), y.sub_(top)
    corner = (pairs.group * (2 * rows * columns)).unsqueeze(-1) + top.long() * columns + left.long()
    flat = part_affinity_fields.flatten()
    values = torch.zeros_like(x)
    for axis, component in enumerate(unit.unbind(-1)):
        for dy, weight_y in ((0, 1 - y), (1, y)):
            for dx, weight_x in ((0, 1 - x), (1, x)):
                cell = corner + ((axis * rows + dy) * columns + dx)
                field = flat.index_select(0, cell.flatten()).view_as(x)
                values.addcmul_(field, weight_x * weight_y * component.unsqueeze(-1))
    return values


def _assign(group: np.ndarray, row: np.ndarray, column: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Choose pairs of the largest total score so that no two of a group share a row or a column.

    Args:
        group: the problem a pair belongs to, shape (pairs,), not negative
        row: shape (pairs,)
        column: shape (pairs,)
        score: shape (pairs,), positive

    Returns:
        numbers of the chosen pairs.
    """
    if not len(group):
        return np.zeros(0, dtype=np.int64)
    problems, problem = np.unique(group, return_inverse=True)
    shape = (len(problems), row.max() + 1, column.max() + 1)
    benefit = np.zeros(shape, dtype=np.float32)
    benefit[problem, row, column] = score
    pair = np.full(shape, -1)
    pair[problem, row, column] = np.arange(len(group))

    # Where the best columns of all rows differ, no assignment can do better: most limbs of most images.
    best = benefit.argmax(2)
    wins = (best[:, :, None] == np.arange(shape[2])) & (benefit.max(2) > 0)[:, :, None]
    contested = (wins.sum(1) > 1).any(1)
    chosen = [pair[wins & ~contested[:, None, None]]]
    for number in contested.nonzero()[0]:
        candidates = pair[number][linear_sum_assignment(benefit[number], maximize=True)]
        chosen.append(candidates[candidates >= 0])
    return np.concatenate(chosen)
