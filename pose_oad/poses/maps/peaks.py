"""Where joints may be: the local maxima of confidence maps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pose_oad.poses.maps.refine import refine_peaks
from pose_oad.poses.maps.sparse import Maps, cells_above, read_cells

# A peak is the largest of the 5 x 5 cells around it. Its four direct neighbours are asked first: they rule out nearly
# all cells, so that the other twenty are looked up for few. Row and column offsets, shape (2, neighbours, 1).
_SQUARE = np.mgrid[-2:3, -2:3].reshape(2, 25, 1)
_DIRECT = _SQUARE[:, np.abs(_SQUARE).sum((0, 2)) == 1]


class Peaks(NamedTuple):
    """Candidate joints of a batch, all of shape (peaks,), sorted by map and, within a map, by falling score.

    Attributes:
        map: number of the map, ``image * joints + joint``, int64
        rank: place among the peaks of its map, 0 for the strongest, int64
        x: continuous cell coordinate (a cell's centre is at +0.5), float32
        y: likewise
        score: value of the map at the peak's cell, float32
    """

    map: np.ndarray
    rank: np.ndarray
    x: np.ndarray
    y: np.ndarray
    score: np.ndarray


def find_peaks(confidence_maps: Maps, threshold: float, most: int) -> Peaks:
    """Find the local maxima of every map, refined between the cells.

    Of several equal cells next to each other the first in reading order is the peak. A NaN is no peak, and does not
    keep its neighbours from being one.

    Args:
        confidence_maps: float32, shape (batch, joints, rows, columns), at least 3 rows and columns
        threshold: smallest value of a peak, exclusive
        most: number of peaks kept in a map, the strongest ones
    """
    rows, columns = confidence_maps.shape[-2:]
    cell = cells_above(confidence_maps, threshold)
    line, column = np.divmod(cell, columns)
    channel, row = np.divmod(line, rows)
    score = read_cells(confidence_maps, cell)
    for neighbours in (_DIRECT, _SQUARE):
        # Beyond the edge the nearest cell inside is asked instead; it is a neighbour too, or the cell itself.
        near_row = np.minimum(np.maximum(row + neighbours[0], 0), rows - 1)
        near_column = np.minimum(np.maximum(column + neighbours[1], 0), columns - 1)
        near = (channel * rows + near_row) * columns + near_column
        other = read_cells(confidence_maps, near)
        beaten = (other > score) | ((other == score) & (near < cell))
        largest = (~beaten.any(0)).nonzero()[0]
        cell, channel, row, column, score = (part[largest] for part in (cell, channel, row, column, score))

    order = np.lexsort((-score, channel))  # by map already: only the peaks of one map change places
    rank = np.arange(len(order)) - np.searchsorted(channel, channel)
    order, rank = order[rank < most], rank[rank < most]
    channel, row, column = channel[order], row[order], column[order]
    x, y = refine_peaks(confidence_maps, channel, row, column)
    return Peaks(channel, rank, x, y, score[order])
