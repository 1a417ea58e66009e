"""Where between the cells a peak lies."""

from __future__ import annotations

import torch
from torch import Tensor

# Network outputs may be negative; below this a cell tells nothing about the shape of a peak.
_FLOOR = 1e-3


def refine_peaks(maps: Tensor, channel: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """Locate peaks with sub-cell precision, by a parabola through the logarithm of three cells in each direction.

    The logarithm of a Gaussian is a parabola, so the location is exact for maps that :func:`~pose_oad.maps.encode`
    renders, also where the peak is in the outermost row or column: there the three cells are the outermost ones.

    Args:
        maps: shape (channels, rows, columns), at least 3 rows and columns
        channel: channel of each peak, int64, shape (peaks,)
        row: its cell's row, likewise
        column: its cell's column, likewise

    Returns:
        x and y of each peak in continuous cell coordinates (a cell's centre is at +0.5), each of shape (peaks,); at
        most half a cell away from the cell's centre.
    """
    _, rows, columns = maps.shape
    flat = maps.reshape(-1)
    start = channel * (rows * columns)
    x = _vertex(flat, start + row * columns, column, columns, 1)
    y = _vertex(flat, start + column, row, rows, columns)
    return x + 0.5, y + 0.5


def _vertex(flat: Tensor, line: Tensor, peak: Tensor, length: int, step: int) -> Tensor:
    """Place of the maximum along a row or a column, in cells.

    Args:
        flat: all maps
        line: where the row or column of each peak begins, shape (peaks,)
        peak: number of each peak's cell in it, likewise
        length: cells in a row or column
        step: distance between two of them
    """
    middle = peak.clamp(1, length - 2)
    before, centre, after = (
        flat.index_select(0, line + (middle + shift) * step).clamp(min=_FLOOR).log() for shift in (-1, 0, 1)
    )
    curvature = before - 2 * centre + after
    vertex = middle + (before - after) / (2 * curvature)
    # A plateau or a saddle has no maximum between the cells: stay at the peak's own.
    vertex = torch.where(curvature < 0, vertex, peak)
    return torch.minimum(torch.maximum(vertex, peak - 0.5), peak + 0.5)
