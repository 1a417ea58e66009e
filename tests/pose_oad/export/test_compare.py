from __future__ import annotations

import math

import pytest
import torch

from pose_oad.export.compare import compare_errors, compare_maps, eager
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.breakdown import measure
from pose_oad.tracking.errors import UserError
from tests.exports import random_frames, random_student
from tests.windows import make_window


def constant(maps: float, fields: float):
    return lambda frames: (torch.full((len(frames), 2, 4, 4), maps), torch.full((len(frames), 1, 2, 4, 4), fields))


def test_the_largest_difference_of_either_output_counts() -> None:
    parity = compare_maps(constant(0.5, 0.0), constant(0.25, -1.0), random_frames(5), batch_size=2)
    assert (parity.frames, parity.confidence_maps, parity.part_affinity_fields) == (5, 0.25, 1.0)
    assert parity.largest == 1.0


def test_one_frame_that_differs_is_found_in_any_batch() -> None:
    def other(frames: torch.Tensor):
        maps, fields = constant(0.0, 0.0)(frames)
        maps[(frames == 7).all(dim=(1, 2, 3))] = 2.0
        return maps, fields

    frames = torch.zeros(5, 4, 4, 3, dtype=torch.uint8)
    frames[4] = 7
    assert compare_maps(constant(0, 0), other, frames, batch_size=2).confidence_maps == 2.0


def test_what_is_not_a_number_is_not_close() -> None:
    parity = compare_maps(constant(0, 0), constant(0, math.nan), random_frames(2), 8)
    assert math.isnan(parity.largest)
    assert not parity.largest <= 1.0


def test_errors_are_those_of_the_offline_study() -> None:
    student = random_student((32, 32))
    windows = [make_window(6, size=32, every=2, sizes=((64, 64), (80, 40)))]
    expected = measure(windows, {"student": student}, MissingRule())["student"].values()
    flipped = lambda frames: eager(student)(frames.flip(2))  # noqa: E731
    found = compare_errors(windows, {"eager": eager(student), "flipped": flipped}, student, batch_size=2)
    assert found["eager"] == pytest.approx(expected, nan_ok=True)
    assert found["flipped"]["mpjpe_px"] != pytest.approx(expected["mpjpe_px"])


def test_errors_need_a_ground_truth() -> None:
    window = make_window(2, size=32)
    window.truth_skeleton = None
    student = random_student((32, 32))
    with pytest.raises(UserError, match="no ground truth"):
        compare_errors([window], {"eager": eager(student)}, student, 8)
