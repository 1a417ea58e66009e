"""A network's numbers as people."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.maps import decode_single
from pose_oad.teachers.described.network import OutputSpec
from pose_oad.tracking.errors import UserError


def read_people(
    outputs: list[np.ndarray], said: OutputSpec, joints: int, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Read the people that a network has found.

    Args:
        outputs: what the network gave, float32, with the pictures along the first axis
        said: what it means
        joints: number of joints
        size: width and height of the input, px

    Returns:
        Keypoints, shape (pictures, people, joints, 3): continuous px of the input and confidence in [0, 1], 0 where
        the network gave something that is no number; and scores, shape (pictures, people).
    """
    if said.kind == "keypoints":
        return _coordinates(outputs, said, joints, size)
    read = _simcc if said.kind == "simcc" else _heat_maps
    keypoints = _finite(read(outputs, said, joints, size))[:, None]
    return keypoints, keypoints[..., 2].mean(-1)


def _coordinates(
    outputs: list[np.ndarray], said: OutputSpec, joints: int, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    first = torch.from_numpy(outputs[0])
    pictures = len(first)
    if first.shape[-2:] == (joints, 3):
        rows, keypoints = None, first.reshape(pictures, -1, joints, 3)
    else:
        rows = first.reshape(pictures, -1, first.shape[-1])
        end = said.first + 3 * joints
        _expect(rows.shape[-1] >= end, outputs, f"[…, {joints}, 3], or rows of at least {end} numbers")
        keypoints = rows[..., said.first : end].unflatten(-1, (joints, 3))
    if said.order == "yxc":
        keypoints = keypoints[..., [1, 0, 2]]
    # A pixel's index is its centre's coordinate less a half.
    xy = keypoints[..., :2] * keypoints.new_tensor(size) if said.units == "fraction" else keypoints[..., :2] + 0.5
    keypoints = _finite(torch.cat([xy, _confidence(keypoints[..., 2:], said)], -1))
    if said.score is None:
        return keypoints, keypoints[..., 2].mean(-1)
    table = torch.from_numpy(outputs[1]).reshape(pictures, -1, outputs[1].shape[-1]) if len(outputs) == 2 else rows
    fits = table is not None and table.shape[1] == keypoints.shape[1] and table.shape[2] > said.score
    _expect(fits, outputs, f"rows with a score at place {said.score} for each of {keypoints.shape[1]} people")
    scores = table[..., said.score] if table is not None else keypoints[..., 2].mean(-1)
    return keypoints, torch.nan_to_num(_confidence(scores, said), nan=0.0, posinf=0.0, neginf=0.0)


def _simcc(outputs: list[np.ndarray], said: OutputSpec, joints: int, size: tuple[int, int]) -> Tensor:
    """Read a pair of classifications (SimCC, arXiv 2107.03332): the largest value of each is the joint's place."""
    _expect(len(outputs) == 2, outputs, "two outputs, along x and along y")
    x, y = (torch.from_numpy(output) for output in outputs)
    fits = x.ndim == y.ndim == 3 and x.shape[1] == y.shape[1] == joints
    _expect(fits, outputs, f"[pictures, {joints}, bins] along x and along y")
    (value_x, bin_x), (value_y, bin_y) = x.max(-1), y.max(-1)
    place = torch.stack([bin_x * size[0] / x.shape[2], bin_y * size[1] / y.shape[2]], -1) + 0.5
    # The less sure of the two directions decides.
    return torch.cat([place, _confidence(torch.minimum(value_x, value_y), said).unsqueeze(-1)], -1)


def _heat_maps(outputs: list[np.ndarray], said: OutputSpec, joints: int, size: tuple[int, int]) -> Tensor:
    maps = torch.from_numpy(outputs[0])
    fits = maps.ndim == 4 and maps.shape[1] == joints and min(maps.shape[2:]) >= 3
    _expect(fits, outputs, f"[pictures, {joints}, rows, columns], at least 3 of each")
    cells = maps.new_tensor([size[0] / maps.shape[3], size[1] / maps.shape[2], 1.0])
    return decode_single(_confidence(maps, said)) * cells


def _confidence(values: Tensor, said: OutputSpec) -> Tensor:
    return values.sigmoid() if said.activation == "sigmoid" else values


def _finite(keypoints: Tensor) -> Tensor:
    """Clip confidences to [0, 1]; a joint that holds something that is no number is not found."""
    known = keypoints.isfinite().all(-1, keepdim=True)
    bounded = torch.cat([keypoints[..., :2], keypoints[..., 2:].clamp(0, 1)], -1)
    return torch.where(known, bounded, 0.0)


def _expect(fits: bool, outputs: list[np.ndarray], wanted: str) -> None:
    if not fits:
        shapes = " and ".join(str(list(output.shape)) for output in outputs)
        raise UserError(f"teacher.output: the network gives {shapes}; expected {wanted} (joints, kind, first, score)")
