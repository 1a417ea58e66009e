from __future__ import annotations

import pytest
import torch

from pose_oad.online.objectives import masked_mse
from pose_oad.poses.maps import decode_people, decode_single, encode
from pose_oad.poses.maps.single import calibrated, weighed
from pose_oad.poses.skeleton import get_skeleton


def test_encode_then_decode_gives_the_joints_back() -> None:
    skeleton = get_skeleton("coco-17")
    generator = torch.Generator().manual_seed(0)
    location = torch.rand(32, 1, 17, 2, generator=generator) * 256  # borders included
    keypoints = torch.cat([location, torch.ones(32, 1, 17, 1)], -1)
    maps = encode(keypoints, skeleton, input_size=(256, 256), map_size=(64, 64)).confidence_maps
    decoded = decode_single(maps)
    assert (decoded[..., :2] - location[:, 0] / 4).abs().max() < 1e-3
    assert decoded[..., 2].min() > 0.8


def test_noisy_maps_stay_within_a_tenth_of_a_cell() -> None:
    skeleton = get_skeleton("coco-17")
    generator = torch.Generator().manual_seed(0)
    location = torch.rand(32, 1, 17, 2, generator=generator) * 200 + 28
    keypoints = torch.cat([location, torch.ones(32, 1, 17, 1)], -1)
    maps = encode(keypoints, skeleton, input_size=(256, 256), map_size=(64, 64)).confidence_maps
    decoded = decode_single(maps + 0.03 * torch.randn(maps.shape, generator=generator))
    assert (decoded[..., :2] - location[:, 0] / 4).norm(dim=-1).mean() < 0.1


def test_log_parabola_worked_out_by_hand() -> None:
    maps = torch.full((1, 1, 5, 6), 0.01)
    maps[0, 0, 2, 2:5] = torch.tensor([0.25, 1.0, 0.5])
    # Logarithms in units of log 2: -2, 0, -1. Vertex at (before - after) / (2 (before - 2 centre + after)) = 1/6.
    x, y, confidence = decode_single(maps)[0, 0].tolist()
    assert x == pytest.approx(3.5 + 1 / 6)
    assert y == pytest.approx(2.5)
    assert confidence == 1


@pytest.mark.parametrize(("peak", "confidence"), [(1.7, 1.0), (0.3, 0.3), (-0.5, 0.0)])
def test_confidence_is_the_clipped_peak(peak: float, confidence: float) -> None:
    maps = torch.full((1, 1, 7, 7), -1.0)
    maps[0, 0, 3, 4] = peak
    x, y, c = decode_single(maps)[0, 0].tolist()
    assert c == pytest.approx(confidence)
    assert (x, y) == pytest.approx((4.5, 3.5))  # a location exists even without confidence


def test_never_nan() -> None:
    maps = torch.zeros(1, 4, 8, 8)
    maps[0, 0] = float("nan")
    maps[0, 1, 2, 2] = float("nan")
    maps[0, 2] = -float("inf")
    maps[0, 3, 3, 3] = float("inf")
    decoded = decode_single(maps)
    assert decoded.isfinite().all()
    assert not decoded[0, :2].any()
    assert decoded[0, 3].tolist() == pytest.approx([3.5, 3.5, 1])


def test_location_stays_on_the_map() -> None:
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, :, 0] = torch.tensor([1.0, 0.99, 0.5, 0, 0, 0, 0, 0])
    decoded = decode_single(maps)[0, 0]
    assert 0 <= decoded[0] <= 8
    assert 0 <= decoded[1] <= 8


def test_empty_batch_and_wrong_shape() -> None:
    assert decode_single(torch.zeros(0, 12, 8, 8)).shape == (0, 12, 3)
    with pytest.raises(ValueError, match="expected"):
        decode_single(torch.zeros(12, 8, 8))
    with pytest.raises(ValueError, match="expected"):
        decode_single(torch.zeros(1, 12, 2, 8))


BODY = get_skeleton("body-12")


@pytest.mark.parametrize("foreground", [0.0, 5.0, 10.0])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_the_share_of_cases_comes_back_from_what_the_loss_asks_for(foreground: float, share: float) -> None:
    target = (torch.arange(100) < 100 * share).float().view(100, 1, 1, 1)
    asked = torch.linspace(0, 1, 10_001)
    losses = torch.stack([masked_mse(value.expand_as(target), target, foreground=foreground) for value in asked])
    best = asked[losses.argmin()]
    assert best.item() == pytest.approx(weighed(share, foreground), abs=2e-4)
    assert calibrated(best, foreground).item() == pytest.approx(share, abs=2e-3)


def test_the_order_of_values_stays_also_outside_of_0_to_1() -> None:
    values = torch.linspace(-0.5, 2, 501)
    found = calibrated(values, 10.0)
    assert (found.diff() > 0).all()
    assert torch.equal(calibrated(torch.tensor([0.0, 1.0, 1.3]), 10.0), torch.tensor([0.0, 1.0, 1.3]))


def test_decoded_people_lie_where_they_lay_and_are_as_sure_as_they_are() -> None:
    torch.manual_seed(0)
    person = torch.cat([torch.rand(1, 1, 12, 2) * 100 + 10, torch.ones(1, 1, 12, 1)], -1)
    maps, fields = encode(person, BODY, input_size=(128, 128), map_size=(32, 32), sigma=0.05)
    shares = torch.linspace(0.95, 0.05, 12)
    maps = maps / maps.amax((2, 3), keepdim=True)
    maps = maps * torch.tensor([weighed(float(share), 5.0) for share in shares]).view(1, 12, 1, 1)
    plain, corrected = decode_single(maps), decode_single(maps, 5.0)
    assert torch.equal(plain[..., :2], corrected[..., :2])
    assert torch.allclose(corrected[0, :, 2], shares, atol=1e-5)
    people = decode_people(maps, fields, BODY, peak_threshold=0.1, min_score=0.0, foreground=5.0)
    found = people.keypoints[0, 0]
    assert torch.equal(found[:, 2] > 0, shares > 0.1)
    assert torch.allclose(found[:-1, :2], plain[0, :-1, :2])
    assert torch.allclose(found[:-1, 2], shares[:-1], atol=1e-5)
