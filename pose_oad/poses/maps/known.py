"""Where in a frame's maps the labels say what is there, and where a joint was missed that may well be there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pose_oad.poses.maps.encode import MapTargets
from pose_oad.poses.skeleton import Skeleton

# Target from which a cell is taught whoever else lacks the joint: two sigma around a known joint or limb.
_TAUGHT = 0.01


class KnownCells(NamedTuple):
    """Cells whose targets can be trusted."""

    joints: Tensor  #: of confidence maps, bool, shape (batch, joints, rows, columns)
    limbs: Tensor  #: of part affinity fields, bool, shape (batch, limbs, rows, columns)


def known_cells(
    keypoints: Tensor, target: MapTargets, skeleton: Skeleton, input_size: tuple[int, int]
) -> KnownCells | None:
    """Mark what people say who were not found whole; None where every person is whole, so that all cells are known.

    A joint that is missing in somebody may be anywhere about that person: there, its map and those of its limbs say
    nothing, except close to the same joint or limb of others. Elsewhere in the frame they hold. The less of a person is
    known the less its box says of its size, so the box grows by half its diagonal times the square of joints per joint
    found; a person of whom a single place is known may be anywhere.

    Args:
        keypoints: px of the network input, shape (batch, people, joints, 3); confidence 0 = missing, a person without
            any joint is none
        target: the same people, rendered
        skeleton: joint set of both
        input_size: width and height of the network input, px
    """
    location = keypoints[..., :2].float()
    found = (keypoints[..., 2] > 0) & location.isfinite().all(-1)
    missing = found.any(-1, keepdim=True) & ~found
    if not missing.any():
        return None
    apart = ~found.unsqueeze(-1)
    low, high = location.masked_fill(apart, torch.inf).amin(2), location.masked_fill(apart, -torch.inf).amax(2)
    diagonal = torch.linalg.vector_norm(high - low, dim=-1)
    growth = diagonal / 2 * (len(skeleton) / found.sum(-1)).square()
    growth = growth.where(diagonal > 0, torch.inf).unsqueeze(-1)
    rows, columns = target.confidence_maps.shape[2:]
    across, down = (
        ((centre >= low[..., axis, None] - growth) & (centre <= high[..., axis, None] + growth)).float()
        for axis, cells in enumerate((columns, rows))
        for centre in [(torch.arange(cells, device=location.device) + 0.5) * (input_size[axis] / cells)]
    )
    start, end = torch.tensor(skeleton.limbs, dtype=torch.long, device=location.device).view(-1, 2).unbind(1)

    def known(lacking: Tensor, drawn: Tensor) -> Tensor:
        about = torch.einsum("bpc,bpy,bpx->bcyx", lacking.float(), down, across) > 0
        return ~about | (drawn > _TAUGHT)

    return KnownCells(
        known(missing, target.confidence_maps),
        known(missing[..., start] | missing[..., end], torch.linalg.vector_norm(target.part_affinity_fields, dim=2)),
    )
