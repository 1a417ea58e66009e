"""Bring maps from one picture's shape to another's: a teacher's onto a student's grid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from pose_oad.poses.geometry import FrameResize


def resample_to_input(maps: Tensor, resize: FrameResize, map_size: tuple[int, int]) -> Tensor:
    """Resample maps that cover an original frame onto a grid of ``map_size`` cells that covers a network's input.

    Returns:
        Bilinear samples at the wanted cells' centres, shape (frames, channels, height, width); zero in letterbox bars.
    """
    columns, rows = map_size
    left, top, width, height = resize.content
    x = ((torch.arange(columns) + 0.5) * resize.input_size[0] / columns - left) / width
    y = ((torch.arange(rows) + 0.5) * resize.input_size[1] / rows - top) / height
    x, y = x.to(maps), y.to(maps)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1) * 2 - 1
    sampled = grid_sample(
        maps, grid.expand(len(maps), *grid.shape), mode="bilinear", padding_mode="border", align_corners=False
    )
    inside = ((y >= 0) & (y <= 1)).unsqueeze(-1) & ((x >= 0) & (x <= 1))
    return sampled * inside


def turn_fields(fields: Tensor, scale: tuple[float, float]) -> Tensor:
    """Turn a field's vectors as they turn when the picture is scaled; their lengths, which say how sure they are, stay.

    Fields have the shape (..., 2, rows, columns), x then y component; ``scale`` is new px per old px, along x and y.
    """
    turned = fields * fields.new_tensor(scale).view(2, 1, 1)
    length, longer = (torch.linalg.vector_norm(part, dim=-3, keepdim=True) for part in (fields, turned))
    return turned * (length / longer.clamp(min=torch.finfo(fields.dtype).tiny))
