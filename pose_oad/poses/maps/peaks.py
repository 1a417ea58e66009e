"""Where joints may be: the local maxima of confidence maps, and where between the cells each of them lies.

Maps are nearly empty: some hundred cells of an image are read. At such sizes a call of torch costs far more than its
work, so all that follows a look through the maps is arithmetic in NumPy, for one image as for a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

#: Maps as they are read: an array if they lie in the computer's own memory.
Maps = np.ndarray | Tensor


def readable(maps: Tensor) -> Maps:
    """Return maps in float32 and in one piece, without copying those that are."""
    maps = maps.detach().float().contiguous()
    return maps.numpy() if maps.is_cpu else maps


def cells_above(maps: Maps, threshold: float) -> np.ndarray:
    """Return the places in the flattened maps whose value exceeds a threshold, ascending; NaN does not."""
    if isinstance(maps, np.ndarray):
        return np.flatnonzero(maps > threshold)
    return (maps.flatten() > threshold).nonzero().squeeze(1).cpu().numpy()


def read_cells(maps: Maps, cells: np.ndarray) -> np.ndarray:
    """Return the values at places in the flattened maps, in the shape of ``cells`` (int64)."""
    if isinstance(maps, np.ndarray):
        return maps.take(cells)
    return maps.take(torch.from_numpy(cells).to(maps.device)).cpu().numpy()


# Network outputs may be negative; below this a cell tells nothing about the shape of a peak.
_FLOOR = 1e-3
_THREE = np.array([-1, 0, 1])[:, None, None]


@np.errstate(divide="ignore", invalid="ignore")  # plateaus and values that are not finite: they stay where they are
def refine_peaks(maps: Maps, channel: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Locate peaks with sub-cell precision, by a parabola through the logarithm of three cells in each direction.

    The logarithm of a Gaussian is a parabola, so the location is exact for maps that ``encode`` renders, also where the
    peak is in the outermost row or column: there the three cells are the outermost ones. ``channel`` (number of the
    map), ``row`` and ``column`` have the shape (peaks,).

    Returns:
        x and y in continuous cell coordinates, shape (2, peaks), float32; at most half a cell from the cell's centre.
    """
    rows, columns = maps.shape[-2:]
    peak = np.array([column, row])
    middle = np.minimum(np.maximum(peak, 1), [[columns - 2], [rows - 2]])
    step = np.array([[1], [columns]])
    cell = (channel * rows + row) * columns + column + (middle - peak) * step
    before, centre, after = np.log(np.maximum(read_cells(maps, cell + _THREE * step), _FLOOR))
    curvature = before - 2 * centre + after
    peak = peak.astype(np.float32)
    # A plateau or a saddle has no maximum between the cells: stay at the peak's own.
    vertex = np.where(curvature < 0, middle.astype(np.float32) + (before - after) / (2 * curvature), peak)
    return np.minimum(np.maximum(vertex, peak - 0.5), peak + 0.5) + np.float32(0.5)


# A peak is the largest of the 5 x 5 cells around it. Its four direct neighbours are asked first: they rule out nearly
# all cells, so that the other twenty are looked up for few. Row and column offsets, shape (2, neighbours, 1).
_SQUARE = np.mgrid[-2:3, -2:3].reshape(2, 25, 1)
_DIRECT = _SQUARE[:, np.abs(_SQUARE).sum((0, 2)) == 1]


class Peaks(NamedTuple):
    """Candidate joints of a batch, all of shape (peaks,), sorted by map and, within a map, by falling score."""

    map: np.ndarray  #: number of the map, ``image * joints + joint``, int64
    rank: np.ndarray  #: place among the peaks of its map, 0 for the strongest, int64
    x: np.ndarray  #: continuous cell coordinate (a cell's centre is at +0.5), float32
    y: np.ndarray  #: likewise
    score: np.ndarray  #: value of the map at the peak's cell, float32


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
