"""Where joints may be: the local maxima of confidence maps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pose_oad.maps.refine import refine_peaks

# A peak is the largest of the 5 x 5 cells around it. Its four direct neighbours are asked first: they rule out nearly
# all cells, so that the other twenty are looked up for few.
_SQUARE = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
_DIRECT = [(dy, dx) for dy, dx in _SQUARE if abs(dy) + abs(dx) == 1]


class Peaks(NamedTuple):
    """Candidate joints of a batch, all of shape (peaks,), sorted by map and, within a map, by falling score.

    Attributes:
        map: number of the map, ``image * joints + joint``, int64
        rank: place among the peaks of its map, 0 for the strongest, int64
        x: continuous cell coordinate (a cell's centre is at +0.5)
        y: likewise
        score: value of the map at the peak's cell
    """

    map: Tensor
    rank: Tensor
    x: Tensor
    y: Tensor
    score: Tensor


def find_peaks(confidence_maps: Tensor, threshold: float, most: int) -> Peaks:
    """Find the local maxima of every map.

    Of several equal cells next to each other the first in reading order is the peak. A row of cells
    with a NaN in it holds no peak.

    Args:
        confidence_maps: shape (batch, joints, rows, columns), at least 3 rows and columns
        threshold: smallest value of a peak, exclusive
        most: number of peaks kept in a map, the strongest ones

    Returns:
        the peaks, refined between the cells.
    """
    maps = confidence_maps.flatten(0, 1).contiguous()
    columns = maps.shape[2]
    # Most rows hold nothing: a maximum per row is several times faster than a search through all cells.
    row = (maps.amax(-1) > threshold).flatten().nonzero().squeeze(1)
    strip, column = (maps.view(-1, columns)[row] > threshold).nonzero(as_tuple=True)
    cell = row[strip] * columns + column
    for neighbours in (_DIRECT, _SQUARE):
        cell = cell[_is_largest(maps, cell, neighbours)]
    channel, row, column = _place(maps, cell)
    score = maps.flatten()[cell]

    order = score.argsort(descending=True, stable=True)
    order = order[channel[order].argsort(stable=True)]
    channel, row, column, score = channel[order], row[order], column[order], score[order]
    first = torch.searchsorted(channel, channel)
    rank = torch.arange(len(channel), device=channel.device) - first
    kept = rank < most
    channel, rank, row, column, score = (part[kept] for part in (channel, rank, row, column, score))
    x, y = refine_peaks(maps, channel, row, column)
    return Peaks(channel, rank, x, y, score)


def _is_largest(maps: Tensor, cell: Tensor, neighbours: list[tuple[int, int]]) -> Tensor:
    """Tell which cells are not beaten by a neighbour, given as row and column offsets, shape (cells,)."""
    rows, columns = maps.shape[1:]
    channel, row, column = _place(maps, cell)
    dy, dx = torch.tensor(neighbours, device=maps.device).unbind(-1)
    # Beyond the edge the nearest cell inside is asked instead; it is a neighbour too, or the cell itself.
    near_row = (row.unsqueeze(-1) + dy).clamp_(0, rows - 1)
    near_column = (column.unsqueeze(-1) + dx).clamp_(0, columns - 1)
    near = (channel * rows).unsqueeze(-1).add(near_row).mul_(columns).add_(near_column)
    flat = maps.flatten()
    value, cell = flat[cell].unsqueeze(-1), cell.unsqueeze(-1)
    other = flat.index_select(0, near.flatten()).view_as(near)
    return ~((other > value) | ((other == value) & (near < cell))).any(-1)


def _place(maps: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split places in a flat batch of maps into channel, row and column."""
    rows, columns = maps.shape[1:]
    inside = cell % (rows * columns)
    return cell // (rows * columns), inside // columns, inside % columns
