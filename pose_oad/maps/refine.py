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
    middle_column = column.clamp(1, columns - 2)
    middle_row = row.clamp(1, rows - 2)
    x = _vertex(flat, start + row * columns + middle_column, 1) + middle_column
    y = _vertex(flat, start + middle_row * columns + column, columns) + middle_row
    x = torch.minimum(torch.maximum(x, column - 0.5), column + 0.5)
    y = torch.minimum(torch.maximum(y, row - 0.5), row + 0.5)
    return x + 0.5, y + 0.5


def _vertex(flat: Tensor, middle: Tensor, step: int) -> Tensor:
    """Offset of the maximum of the parabola through ``middle`` and the cells ``step`` before and after it, cells."""
    before, centre, after = (
        flat.index_select(0, cell).clamp(min=_FLOOR).log() for cell in (middle - step, middle, middle + step)
    )
    curvature = before - 2 * centre + after
    # A plateau or a saddle has no maximum between the cells: stay at the middle.
    return torch.where(curvature < 0, (before - after) / (2 * curvature), 0.0)
