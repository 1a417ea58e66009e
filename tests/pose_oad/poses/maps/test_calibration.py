from __future__ import annotations

import pytest
import torch

from pose_oad.online.objectives import masked_mse
from pose_oad.poses.maps import decode_people, decode_single, encode
from pose_oad.poses.maps.calibration import calibrated, weighed
from pose_oad.poses.skeleton import get_skeleton

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
