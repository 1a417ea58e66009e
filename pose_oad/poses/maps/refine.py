"""Where between the cells a peak lies."""

from __future__ import annotations

import numpy as np

from pose_oad.poses.maps.sparse import Maps, read_cells

# Network outputs may be negative; below this a cell tells nothing about the shape of a peak.
_FLOOR = 1e-3
_THREE = np.array([-1, 0, 1])[:, None, None]


@np.errstate(divide="ignore", invalid="ignore")  # plateaus and values that are not finite: they stay where they are
def refine_peaks(maps: Maps, channel: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Locate peaks with sub-cell precision, by a parabola through the logarithm of three cells in each direction.

    The logarithm of a Gaussian is a parabola, so the location is exact for maps that ``encode``
    renders, also where the peak is in the outermost row or column: there the three cells are the outermost ones.

    Args:
        maps: float32, shape (..., rows, columns), at least 3 rows and columns
        channel: number of each peak's map, int64, shape (peaks,)
        row: its cell's row, likewise
        column: its cell's column, likewise

    Returns:
        x and y of each peak in continuous cell coordinates, shape (2, peaks), float32; at most half a cell away.
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
