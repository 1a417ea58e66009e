from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from pose_oad.metrics.keypoints import MissingRule
from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.predict.measuring import alike, measure_stream
from pose_oad.tracking.errors import UserError
from tests.windows import make_window

BODY = get_skeleton("body-12")
PLACES = torch.stack([4.0 + 4 * (torch.arange(12) % 3), 4.0 + 6 * (torch.arange(12) // 3), torch.ones(12)], -1)


class Fixed:
    """Sees joints at the same places of a 32x32 input always."""

    name, skeleton, input_size, map_size, foreground = "fixed", BODY, (32, 32), (8, 8), 0.0

    def __init__(self, shift: float = 0.0) -> None:
        self.shift, self.batches = shift, 0

    def maps(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.batches += 1
        people = PLACES + torch.tensor([self.shift, 0.0, 0.0])
        targets = encode(people.expand(len(frames), 1, -1, -1), BODY, input_size=(32, 32), map_size=(8, 8), sigma=0.1)
        return targets[0], targets[1]


def test_predictors_are_measured_on_the_same_frames_in_original_px() -> None:
    # Frames of 64x64 px are shown at half their size: a shift by 1 px of the input is one by 2 px.
    truth = (PLACES * torch.tensor([2.0, 2.0, 1.0])).expand(10, 1, -1, -1)
    exact, shifted = Fixed(), Fixed(1.0)
    windows = (make_window(10, index=number, truth=truth) for number in range(2))
    errors = measure_stream(windows, {"exact": exact, "shifted": shifted}, MissingRule(), batch_size=4)
    assert errors["exact"].values()["mpjpe_px"] == pytest.approx(0, abs=0.05)
    assert errors["shifted"].values()["mpjpe_px"] == pytest.approx(2, abs=0.05)
    assert [grouped.frames for grouped in errors.values()] == [20, 20]
    assert exact.batches == 2 * 3


def test_a_stream_without_truth_is_refused() -> None:
    window = make_window(4)
    window._sealed_truth = None
    with pytest.raises(UserError, match="has no ground truth"):
        measure_stream([window], {"a": Fixed()}, MissingRule(), 4)


def test_predictors_are_grouped_by_what_they_share() -> None:
    a, b, c = (cast("Any", SimpleNamespace(input_size=size, skeleton=BODY)) for size in ((8, 8), (16, 16), (8, 8)))
    assert alike({"a": a, "b": b, "c": c}, "input_size") == [{"a": a, "c": c}, {"b": b}]
    assert len(alike({"a": a, "b": b, "c": c}, "skeleton")) == 1
