from __future__ import annotations

import pytest
import torch

from pose_oad.online.objectives import limbs_of, map_loss, masked_mse
from pose_oad.poses.maps.encode import MapTargets
from pose_oad.poses.skeleton import Skeleton

CHAIN = Skeleton("chain", ("a", "b", "c"), ((0, 1), (1, 2)))


def _maps(value: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """One image of 3×3 cells: three joints, two limbs."""
    return torch.full((1, 3, 3, 3), value), torch.full((1, 2, 2, 3, 3), value)


def test_without_masks_it_is_the_sum_of_two_means() -> None:
    cmaps, pafs = _maps()
    cmaps[0, 0, 1, 1] = 3.0  # 9 over 27 elements
    pafs[0, 1, 0, 2, 2] = -6.0  # 36 over 36 elements
    assert map_loss(cmaps, pafs, MapTargets(*_maps()), CHAIN).item() == pytest.approx(9 / 27 + 1.0)


def test_a_masked_joint_takes_its_limbs_along() -> None:
    cmaps, pafs = _maps()
    cmaps[0, 0] = 100.0
    pafs[0, 0] = 100.0  # limb a-b
    pafs[0, 1, 1, 0, 0] = 6.0  # limb b-c: 36 over 18 elements
    cmaps[0, 2, 0, 0] = 3.0  # 9 over 18 elements
    mask = torch.tensor([[False, True, True]])
    assert map_loss(cmaps, pafs, MapTargets(*_maps()), CHAIN, joint_mask=mask).item() == pytest.approx(0.5 + 2.0)
    assert limbs_of(mask, CHAIN).tolist() == [[False, True]]


def test_masked_cells_do_not_count() -> None:
    prediction = torch.zeros(1, 2, 3, 3)
    prediction[0, :, 0, :] = 50.0
    prediction[0, 0, 2, 2] = 4.0  # 16 over 2 channels × 6 cells
    cells = torch.ones(1, 3, 3, dtype=torch.bool)
    cells[0, 0] = False
    assert masked_mse(prediction, torch.zeros_like(prediction), pixel_mask=cells).item() == pytest.approx(16 / 12)


def test_both_masks_together() -> None:
    prediction = torch.full((1, 2, 3, 3), 2.0)
    channels = torch.tensor([[True, False]])
    cells = torch.zeros(1, 3, 3, dtype=torch.bool)
    cells[0, 1] = True
    prediction[0, 0, 1, 0] = 5.0
    expected = (25 + 4 + 4) / 3
    assert masked_mse(prediction, torch.zeros_like(prediction), channels, cells).item() == pytest.approx(expected)


def test_everything_masked_is_zero_and_has_no_gradient() -> None:
    prediction = torch.ones(1, 3, 3, 3, requires_grad=True)
    loss = masked_mse(prediction, torch.zeros(1, 3, 3, 3), channel_mask=torch.zeros(1, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert prediction.grad is not None
    assert not prediction.grad.any()


def test_the_mean_is_over_the_whole_batch() -> None:
    """An image with half of its joints masked weighs half as much as a complete one."""
    prediction = torch.zeros(2, 2, 3, 3)
    prediction[0], prediction[1] = 1.0, 2.0
    mask = torch.tensor([[True, True], [True, False]])
    assert masked_mse(prediction, torch.zeros_like(prediction), mask).item() == pytest.approx((2 * 1 + 1 * 4) / 3)


def test_the_foreground_weighs_more() -> None:
    target = torch.zeros(1, 1, 3, 3)
    target[0, 0, 1, 1], target[0, 0, 0, 0] = 1.0, -0.5
    prediction = torch.zeros(1, 1, 3, 3)
    prediction[0, 0, 2, 2] = 2.0
    # Weights: 1 + 4 at the peak, 1 + 2 at the negative half, 1 at seven others; errors 1, 1/4 and 4.
    expected = (5 * 1 + 3 * 0.25 + 1 * 4) / (5 + 3 + 7)
    assert masked_mse(prediction, target, foreground=4.0).item() == pytest.approx(expected)
    hidden = torch.ones(1, 3, 3, dtype=torch.bool)
    hidden[0, 1, 1] = False
    assert masked_mse(prediction, target, None, hidden, 4.0).item() == pytest.approx((3 * 0.25 + 4) / (3 + 7))


def test_both_kinds_of_maps_take_the_foreground_weight() -> None:
    target = MapTargets(*_maps(1.0))
    cmaps, pafs = _maps(1.0)
    target.confidence_maps[0, 1:] = 0
    target.part_affinity_fields[0, 1] = 0
    # A third of the maps is foreground and right, two thirds wrong by 1; likewise half of the fields.
    loss = map_loss(cmaps, pafs, target, CHAIN, foreground=3.0)
    assert loss.item() == pytest.approx(2 / (4 + 2) + 1 / (4 + 1))
