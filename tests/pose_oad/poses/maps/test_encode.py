from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import Skeleton, get_skeleton

PAIR = Skeleton("pair", ("left_end", "right_end"), ((0, 1),))


def people_at_random(batch: int, people: int, joints: int, size: tuple[int, int]) -> Tensor:
    """Draw joints in and somewhat around the image, a fifth of them not found."""
    generator = torch.Generator().manual_seed(0)
    location = (torch.rand(batch, people, joints, 2, generator=generator) * 1.4 - 0.2) * torch.tensor(size)
    found = (torch.rand(batch, people, joints, 1, generator=generator) > 0.2).float()
    return torch.cat([location * found, found], -1)


def slow_maps(keypoints: Tensor, skeleton: Skeleton, size: tuple[int, int], cells: tuple[int, int]) -> tuple:
    """Render by the definition, a cell, a person and a joint at a time."""
    columns, rows = cells
    sigma = 0.025 * columns
    maps = torch.zeros(len(keypoints), len(skeleton), rows, columns)
    fields = torch.zeros(len(keypoints), len(skeleton.limbs), 2, rows, columns)
    for image, people in enumerate(keypoints.tolist()):
        for person in people:
            joints = [(x * columns / size[0], y * rows / size[1], c) for x, y, c in person]
            for row in range(rows):
                for column in range(columns):
                    x, y = column + 0.5, row + 0.5
                    for number, (jx, jy, confidence) in enumerate(joints):
                        value = math.exp(-((x - jx) ** 2 + (y - jy) ** 2) / sigma**2) * (confidence > 0)
                        maps[image, number, row, column] = max(maps[image, number, row, column], value)
                    for number, (a, b) in enumerate(skeleton.limbs):
                        (ax, ay, ac), (bx, by, bc) = joints[a], joints[b]
                        length = math.hypot(bx - ax, by - ay)
                        if ac <= 0 or bc <= 0 or length == 0:
                            continue
                        ux, uy = (bx - ax) / length, (by - ay) / length
                        along = min(max((x - ax) * ux + (y - ay) * uy, 0), length)
                        value = math.exp(-((x - ax - along * ux) ** 2 + (y - ay - along * uy) ** 2) / sigma**2)
                        fields[image, number, 0, row, column] += ux * value
                        fields[image, number, 1, row, column] += uy * value
    return maps, fields


def test_agrees_with_the_definition() -> None:
    skeleton, size, cells = get_skeleton("body-12"), (96, 72), (32, 24)
    keypoints = people_at_random(2, 3, len(skeleton), size)
    keypoints[0, 0, 1] = keypoints[0, 0, 3]  # a limb without length
    maps, fields = slow_maps(keypoints, skeleton, size, cells)
    targets = encode(keypoints, skeleton, input_size=size, map_size=cells)
    torch.testing.assert_close(targets.confidence_maps, maps, atol=1e-4, rtol=0)
    torch.testing.assert_close(targets.part_affinity_fields, fields, atol=1e-4, rtol=0)
    assert fields.abs().amax() > 1  # two people's limbs do overlap


def test_values_worked_out_by_hand() -> None:
    # 40 cells at sigma 0.025 are a spread of one cell. Joints in row 4, at the centres of columns 10 and 14.
    keypoints = torch.tensor([[[[10.5, 4.5, 1.0], [14.5, 4.5, 1.0]]]])
    maps, fields = encode(keypoints, PAIR, input_size=(40, 40), map_size=(40, 40))
    assert maps[0, 0, 4, 10] == 1
    assert maps[0, 0, 4, 11].item() == pytest.approx(math.exp(-1))
    assert maps[0, 0, 5, 12].item() == pytest.approx(math.exp(-5))
    assert fields[0, 0, 0, 4, 10:15].tolist() == pytest.approx([1] * 5)
    assert fields[0, 0, 0, 6, 12].item() == pytest.approx(math.exp(-4))
    assert fields[0, 0, 0, 5, 16].item() == pytest.approx(math.exp(-5))  # beyond the end: distance to the end
    assert not fields[0, 0, 1].any()


def test_people_share_a_map_by_maximum_and_a_field_by_sum() -> None:
    person = torch.tensor([[10.5, 4.5, 1.0], [14.5, 4.5, 1.0]])
    twice = torch.stack([person, person.flip(0)])[None]
    maps, fields = encode(twice, PAIR, input_size=(40, 40), map_size=(40, 40))
    assert maps.max() == 1
    assert fields.abs().max() < 1e-6  # opposite limbs cancel
    _, doubled = encode(torch.stack([person, person])[None], PAIR, input_size=(40, 40), map_size=(40, 40))
    assert doubled[0, 0, 0, 4, 12].item() == pytest.approx(2)


@pytest.mark.parametrize("bad", [(5.0, 5.0, 0.0), (math.nan, 5.0, 1.0), (5.0, math.inf, 1.0)])
def test_missing_joint_leaves_no_trace(bad: tuple[float, float, float]) -> None:
    keypoints = torch.tensor([[[bad, (20.0, 20.0, 1.0)]]])
    maps, fields = encode(keypoints, PAIR, input_size=(40, 40), map_size=(40, 40))
    assert not maps[0, 0].any()
    assert maps[0, 1].any()
    assert not fields.any()


def test_joint_outside_reaches_in_and_far_away_does_not() -> None:
    keypoints = torch.tensor([[[(-1.0, 5.5, 1.0), (1e9, 5.5, 1.0)]]])
    maps, _ = encode(keypoints, PAIR, input_size=(40, 40), map_size=(40, 40))
    assert maps[0, 0, 5, 0].item() == pytest.approx(math.exp(-2.25))
    assert not maps[0, 1].any()


@pytest.mark.parametrize(("batch", "people"), [(2, 0), (0, 3)])
def test_nobody_gives_empty_maps(batch: int, people: int) -> None:
    skeleton = get_skeleton("body-12")
    maps, fields = encode(torch.zeros(batch, people, 12, 3), skeleton, input_size=(64, 64), map_size=(16, 16))
    assert maps.shape == (batch, 12, 16, 16)
    assert fields.shape == (batch, 12, 2, 16, 16)
    assert not maps.any()


def test_joint_set_without_limbs() -> None:
    skeleton = Skeleton("points", ("left_point", "right_point"))
    targets = encode(torch.ones(1, 1, 2, 3), skeleton, input_size=(64, 64), map_size=(16, 16))
    assert targets.part_affinity_fields.shape == (1, 0, 2, 16, 16)


def test_wide_sigma_covers_the_map() -> None:
    maps, _ = encode(torch.tensor([[[(0.5, 0.5, 1.0), (0, 0, 0)]]]), PAIR, input_size=(8, 8), map_size=(8, 8), sigma=2)
    assert maps[0, 0, 7, 7].item() == pytest.approx(math.exp(-98 / 256))


def test_refuses_keypoints_of_another_joint_set() -> None:
    with pytest.raises(ValueError, match=r"expected \(batch, people, 12, 3\)"):
        encode(torch.zeros(1, 1, 17, 3), get_skeleton("body-12"), input_size=(64, 64), map_size=(16, 16))
