"""Which candidate joints a limb connects, judged by the part affinity field between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_oad.poses.maps.peaks import Maps, Peaks, read_cells
from pose_oad.poses.skeleton import Skeleton

# Points along a limb at which its field is read, ends included, as in OpenPose's released code.
_SAMPLES = 10
_STEPS = np.linspace(0, 1, _SAMPLES, dtype=np.float32)[:, None]
# The eight values around a point: component of the field, row and column, from the one at the top left.
_COMPONENT, _DOWN, _RIGHT = np.ogrid[:2, :2, :2]


class Links(NamedTuple):
    """Accepted limbs of a batch, all of shape (links,)."""

    first: np.ndarray  #: number of the peak at the limb's first joint
    second: np.ndarray  #: number of the peak at its second joint
    score: np.ndarray  #: mean of the field along the limb, in its direction


class _Pairs(NamedTuple):
    """Pairs of peaks that a limb might connect, all of shape (pairs,), sorted by group.

    ``group`` is ``image * limbs + limb``; ``first`` and ``second`` are numbers of peaks, ``row`` and ``column`` their
    ranks among the candidates of their joints.
    """

    group: np.ndarray
    first: np.ndarray
    second: np.ndarray
    row: np.ndarray
    column: np.ndarray


def find_links(
    peaks: Peaks, part_affinity_fields: Maps, skeleton: Skeleton, *, threshold: float, share: float
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
    """
    pairs = _candidates(peaks, part_affinity_fields.shape[0], skeleton)
    values = _read_along(peaks, pairs, part_affinity_fields)
    score = values.sum(0) / _SAMPLES
    # A NaN in the field fails both comparisons, so it supports no limb.
    accepted = ((values > threshold).sum(0) >= share * _SAMPLES) & (score > 0)
    group, first, second, row, column = (part[accepted] for part in pairs)
    score = score[accepted]
    chosen = _assign(group, row, column, score)
    return Links(first[chosen], second[chosen], score[chosen])


def _candidates(peaks: Peaks, batch: int, skeleton: Skeleton) -> _Pairs:
    """List every pair of peaks of one image whose joints a limb connects."""
    deepest = int(peaks.rank.max(initial=0)) + 1
    table = np.full((batch * len(skeleton), deepest), -1)
    table[peaks.map, peaks.rank] = np.arange(len(peaks.map))
    ends = np.array(skeleton.limbs, dtype=np.int64).reshape(-1, 2).T
    starts, stops = table.reshape(batch, len(skeleton), deepest)[:, ends].swapaxes(0, 1).reshape(2, -1, deepest)
    group, row, column = ((starts >= 0)[:, :, None] & (stops >= 0)[:, None]).nonzero()
    return _Pairs(group, starts[group, row], stops[group, column], row, column)


def _read_along(peaks: Peaks, pairs: _Pairs, part_affinity_fields: Maps) -> np.ndarray:
    """Read the field's component along each pair, shape (samples, pairs), between the cells by bilinear weights."""
    rows, columns = part_affinity_fields.shape[-2:]
    place = np.array([peaks.x, peaks.y])
    start = place[:, pairs.first]
    span = place[:, pairs.second] - start
    unit = span / np.maximum(np.hypot(*span), 1e-6)
    # From continuous coordinates to those in which cell i has its centre at i.
    sample = start[:, None] + span[:, None] * _STEPS - 0.5
    last = np.array([[[columns - 1]], [[rows - 1]]], dtype=np.float32)
    sample = np.minimum(np.maximum(sample, 0), last)
    corner = np.minimum(np.floor(sample), last - 1)
    after = sample - corner
    left, top = corner.astype(np.int64)
    cell = pairs.group * (2 * rows * columns) + top * columns + left
    around = (_COMPONENT * rows + _DOWN) * columns + _RIGHT
    values = read_cells(part_affinity_fields, around[..., None, None] + cell)
    weight = np.array([1 - after, after])
    values *= weight[:, None, 1] * weight[:, 0]
    return (values.sum((1, 2)) * unit[:, None]).sum(0)


def _assign(group: np.ndarray, row: np.ndarray, column: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Choose pairs of the largest total score so that no two of a group share a row or a column.

    All arguments have the shape (pairs,); ``group``, the problem a pair belongs to, ascends, scores are positive.
    """
    width = max(row.max(initial=0), column.max(initial=0)) + 1
    start, stop = group * width + row, group * width + column
    # A pair that shares neither end with another is in every best choice: most limbs of most images.
    shared = (np.bincount(start)[start] > 1) | (np.bincount(stop)[stop] > 1)
    chosen = [(~shared).nonzero()[0]]
    rest = shared.nonzero()[0]
    for problem in set(group[rest].tolist()):
        pairs = rest[group[rest] == problem]
        benefit = np.zeros((width, width), dtype=np.float32)
        benefit[row[pairs], column[pairs]] = score[pairs]
        # As many rows as columns: every row is given a column, of which only pairs count.
        partner = linear_sum_assignment(benefit, maximize=True)[1]
        chosen.append(pairs[partner[row[pairs]] == column[pairs]])
    return np.concatenate(chosen)
