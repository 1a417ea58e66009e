"""Maps to people in the way of trt_pose, written from its description: what decoding one image is compared with.

Local maxima of 5 x 5 cells above a threshold, moved to the weighted centroid of their neighbourhood; the mean of seven
points of the field along each limb; an optimal assignment for each limb; people are the connected parts.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_THRESHOLD = 0.1  # of a peak, and of a limb
_REACH = 2  # cells on either side of a peak
_POINTS = (np.arange(7) / 7)[:, None, None]


def group_one(
    confidence_maps: np.ndarray, fields: np.ndarray, limbs: tuple[tuple[int, int], ...]
) -> list[dict[int, tuple[float, float]]]:
    """Find the people of one image.

    Args:
        confidence_maps: shape (joints, rows, columns)
        fields: shape (limbs, 2, rows, columns), x then y component
        limbs: the joints that each field connects

    Returns:
        For each person the place of each joint found, in cells (a cell's centre is at +0.5).
    """
    window = (1, 2 * _REACH + 1, 2 * _REACH + 1)
    joint, row, column = ((confidence_maps == maximum_filter(confidence_maps, window)) & (
        confidence_maps > _THRESHOLD
    )).nonzero()  # fmt: skip
    places = np.array([_centroid(confidence_maps[j], r, c) for j, r, c in zip(joint, row, column, strict=True)])
    tied: list[tuple[int, int]] = []
    for field, (start, stop) in zip(fields, limbs, strict=True):
        first, second = (joint == start).nonzero()[0], (joint == stop).nonzero()[0]
        if len(first) and len(second):
            score = _support(field, places[first], places[second])
            for a, b in zip(*linear_sum_assignment(score, maximize=True), strict=True):
                if score[a, b] > _THRESHOLD:
                    tied.append((first[a], second[b]))
    ends = np.array(tied, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1], dtype=bool), (ends[0], ends[1])), shape=(len(joint), len(joint)))
    count, person = connected_components(graph, directed=False)
    people: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
    for peak in np.unique(ends):
        people[person[peak]][int(joint[peak])] = tuple(places[peak])
    return [found for found in people if found]


def _centroid(values: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """Return x and y of the centroid of the cells around a peak, cells."""
    top, left = max(row - _REACH, 0), max(column - _REACH, 0)
    weight = np.maximum(values[top : row + _REACH + 1, left : column + _REACH + 1], 0)
    down, right = np.indices(weight.shape)
    return left + 0.5 + (weight * right).sum() / weight.sum(), top + 0.5 + (weight * down).sum() / weight.sum()


def _support(field: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return the mean of a field along the way from each start to each stop, shape (starts, stops)."""
    span = stops[None] - starts[:, None]
    unit = span / np.maximum(np.linalg.norm(span, axis=-1, keepdims=True), 1e-6)
    x, y = np.moveaxis(starts[None, :, None] + span * _POINTS[..., None], -1, 0).astype(np.int64)
    along = field[0][y, x] * unit[..., 0] + field[1][y, x] * unit[..., 1]
    return along.mean(0)
