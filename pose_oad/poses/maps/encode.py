"""Keypoints to maps: the targets a student is trained on.

Definitions of the paper, in map cells and with no factor 2 in the exponent:

- confidence map of a joint: ``exp(-d^2 / sigma^2)``, d the distance of a cell's centre to the joint, the maximum over
  people;
- part affinity field of a limb: the unit vector from its first to its second joint times ``exp(-d^2 / sigma^2)``, d the
  distance of a cell's centre to the limb's line segment, the sum over people.

Both are negligible a few sigma away, so only the cells around a joint or a limb are computed and the rest of the
map stays zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pose_oad.poses.skeleton import Skeleton

# Values below this are left at zero; it sets how far around a joint or a limb a map is computed.
_NEGLIGIBLE = 1e-5


class MapTargets(NamedTuple):
    """What a map-predicting network is trained towards."""

    confidence_maps: Tensor  #: shape (batch, joints, rows, columns), values in [0, 1]
    part_affinity_fields: Tensor  #: shape (batch, limbs, 2, rows, columns), x then y component


class _Cells(NamedTuple):
    """Cells around a list of segments, as one flat list: ``owner`` says whose neighbourhood a cell belongs to.

    ``x`` and ``y`` are the cell's centre relative to the start of the segment (cells), ``position`` its row-major place
    in the map.
    """

    owner: Tensor
    x: Tensor
    y: Tensor
    position: Tensor


def encode(
    keypoints: Tensor,
    skeleton: Skeleton,
    *,
    input_size: tuple[int, int],
    map_size: tuple[int, int],
    sigma: float = 0.025,
) -> MapTargets:
    """Render people into confidence maps and part affinity fields of ``map_size``, float32, where the people are.

    A joint without confidence, or without a finite location, contributes nothing, and neither does a limb that lacks
    one of its joints or has no length. Joints outside the image still reach into it.

    Args:
        keypoints: shape (batch, people, joints, 3): x and y in px of the network input, confidence (0 = not found);
            ``people`` may be 0
        skeleton: joint set of ``keypoints``; its limbs give the channels of the fields
        input_size: width and height of the network input, px
        map_size: width and height of the maps, cells
        sigma: spread of a joint and of a limb, fraction of the map's width
    """
    if keypoints.ndim != 4 or keypoints.shape[2:] != (len(skeleton), 3):
        raise ValueError(f"keypoints {tuple(keypoints.shape)}: expected (batch, people, {len(skeleton)}, 3)")
    scale = keypoints.new_tensor([map_size[0] / input_size[0], map_size[1] / input_size[1]], dtype=torch.float32)
    location = keypoints[..., :2].float() * scale
    found = (keypoints[..., 2] > 0) & location.isfinite().all(-1)
    spread = sigma * map_size[0]
    return MapTargets(
        _confidence_maps(location, found, map_size, spread),
        _part_affinity_fields(location, found, skeleton, map_size, spread),
    )


def _confidence_maps(location: Tensor, found: Tensor, map_size: tuple[int, int], spread: float) -> Tensor:
    """Draw joints at ``location``, shape (batch, people, joints, 2), cells, where ``found``."""
    batch, _, joints = found.shape
    width, height = map_size
    maps = location.new_zeros(batch * joints * height * width)
    image, person, joint = found.nonzero(as_tuple=True)
    centre = location[image, person, joint]
    cells = _cells_around(centre, centre, map_size, spread)
    value = (cells.x.square_() + cells.y.square_()).mul_(-1 / spread**2).exp_()
    channel = (image * joints + joint) * (height * width)
    maps.scatter_reduce_(0, channel.index_select(0, cells.owner).add_(cells.position), value, reduce="amax")
    return maps.view(batch, joints, height, width)


def _part_affinity_fields(
    location: Tensor, found: Tensor, skeleton: Skeleton, map_size: tuple[int, int], spread: float
) -> Tensor:
    """Draw limbs between joints at ``location``, shape (batch, people, joints, 2), cells, where both are ``found``."""
    batch = found.shape[0]
    width, height = map_size
    limbs = len(skeleton.limbs)
    fields = location.new_zeros(batch * limbs * 2 * height * width)
    ends = torch.tensor(skeleton.limbs, dtype=torch.long, device=location.device).view(-1, 2)
    image, person, limb = (found[:, :, ends[:, 0]] & found[:, :, ends[:, 1]]).nonzero(as_tuple=True)
    start = location[image, person, ends[limb, 0]]
    end = location[image, person, ends[limb, 1]]
    length = torch.linalg.vector_norm(end - start, dim=-1)
    direction = (end - start) / length.clamp(min=1e-6).unsqueeze(-1)

    cells = _cells_around(start, end, map_size, spread)
    unit_x, unit_y, limit = (part.index_select(0, cells.owner) for part in (*direction.unbind(-1), length))
    # The nearest point of the segment lies at the cell's projection onto the limb, but not beyond its ends.
    along = torch.minimum((cells.x * unit_x).addcmul_(cells.y, unit_y).clamp_(min=0), limit)
    across_x = cells.x.addcmul_(along, unit_x, value=-1)
    across_y = cells.y.addcmul_(along, unit_y, value=-1)
    value = across_x.square_().addcmul_(across_y, across_y).mul_(-1 / spread**2).exp_()
    channel = (image * limbs + limb) * (2 * height * width)
    position = channel.index_select(0, cells.owner).add_(cells.position)
    fields.index_add_(0, position, unit_x.mul_(value))
    fields.index_add_(0, position.add_(height * width), unit_y.mul_(value))
    return fields.view(batch, limbs, 2, height, width)


def _cells_around(start: Tensor, end: Tensor, map_size: tuple[int, int], spread: float) -> _Cells:
    """List the cells in each segment's bounding box, grown by the reach of a Gaussian (cells) and cut to the map."""
    reach = spread * math.sqrt(-math.log(_NEGLIGIBLE))
    limit = torch.tensor(map_size, device=start.device, dtype=start.dtype)
    # Cell i has its centre at i + 0.5. Clamping before the conversion keeps far-away joints within the integers.
    first = (torch.minimum(start, end) - reach - 0.5).ceil().clamp(min=0).minimum(limit)
    stop = (torch.maximum(start, end) + reach + 0.5).floor().clamp(min=0).minimum(limit)
    columns, rows = (stop - first).clamp(min=0).long().unbind(-1)
    first_column, first_row = first.long().unbind(-1)

    # Two levels, segments to rows and rows to cells: no division, and what a row's cells share is computed once.
    row_owner, row = _expand(rows)
    row += first_row[row_owner]
    first_column = first_column[row_owner]
    row_position = row * map_size[0] + first_column
    row_x = first_column + 0.5 - start[row_owner, 0]
    row_y = row + 0.5 - start[row_owner, 1]
    cell_row, column = _expand(columns[row_owner])
    owner, x, y, position = (part.index_select(0, cell_row) for part in (row_owner, row_x, row_y, row_position))
    return _Cells(owner, x.add_(column), y, position.add_(column))


def _expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat item i ``counts[i]`` times: the item of each repeat, and its number among the item's repeats."""
    owner = torch.repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device).sub_(first.index_select(0, owner))
