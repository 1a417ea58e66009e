from __future__ import annotations

import math

import torch

from pose_oad.export.report import compare_maps
from pose_oad.poses.skeleton import Skeleton
from tests.exports import random_frames
from tests.networks import MapNetwork

PAIR = Skeleton("pair", ("left_hip", "right_hip"), ((0, 1),))


def constant(maps: float, fields: float) -> MapNetwork:
    return MapNetwork(
        lambda frames: (torch.full((len(frames), 2, 4, 4), maps), torch.full((len(frames), 1, 2, 4, 4), fields)), PAIR
    )


def test_the_largest_difference_of_either_output_counts() -> None:
    parity = compare_maps(constant(0.5, 0.0), constant(0.25, -1.0), random_frames(5), batch_size=2)
    assert (parity.frames, parity.confidence_maps, parity.part_affinity_fields) == (5, 0.25, 1.0)
    assert parity.largest == 1.0


def test_one_frame_that_differs_is_found_in_any_batch() -> None:
    def other(frames: torch.Tensor):
        maps, fields = constant(0.0, 0.0).maps(frames)
        maps[(frames == 7).all(dim=(1, 2, 3))] = 2.0
        return maps, fields

    frames = torch.zeros(5, 4, 4, 3, dtype=torch.uint8)
    frames[4] = 7
    assert compare_maps(constant(0, 0), MapNetwork(other, PAIR), frames, batch_size=2).confidence_maps == 2.0


def test_what_is_not_a_number_is_not_close() -> None:
    parity = compare_maps(constant(0, 0), constant(0, math.nan), random_frames(2), 8)
    assert math.isnan(parity.largest)
    assert not parity.largest <= 1.0
