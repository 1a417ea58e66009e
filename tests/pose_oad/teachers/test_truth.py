from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError

BODY = get_skeleton("body-12")


def request_of(frames: int, first: int = 0) -> TeacherRequest:
    truth = torch.ones(frames, 1, 12, 3)
    truth[..., 0] = torch.arange(12) * 10 + 50
    truth[..., 1] = 80
    return TeacherRequest(np.arange(first, first + frames), None, (200, 100), truth)


def test_without_faults_it_is_the_truth() -> None:
    request = request_of(5)
    assert torch.equal(TruthTeacher(BODY).label(request).keypoints, request.truth)


def test_noise_has_the_stated_deviation() -> None:
    request = request_of(500)
    shift = TruthTeacher(BODY, noise=0.02).label(request).keypoints - request.truth
    assert float(shift[..., :2].std()) == pytest.approx(0.02 * 200, rel=0.05)
    assert float(shift[..., :2].mean()) == pytest.approx(0, abs=0.1)
    assert not shift[..., 2].any()


def test_misses_and_swaps_happen_as_often_as_stated() -> None:
    request = request_of(1000)
    missed = TruthTeacher(BODY, misses=0.2).label(request).keypoints[..., 2] == 0
    assert float(missed.float().mean()) == pytest.approx(0.2, abs=0.02)
    swapped = TruthTeacher(BODY, swaps=0.3).label(request).keypoints
    flipped = request.truth[:, :, torch.tensor(BODY.flip)]
    share = (swapped[..., 0] == flipped[..., 0]).float().mean()
    assert float(share) == pytest.approx(0.3, abs=0.03)


def test_a_frames_faults_depend_on_its_number_and_the_seed_alone() -> None:
    options = {"noise": 0.01, "misses": 0.1, "swaps": 0.1}
    whole = TruthTeacher(BODY, **options, seed=7).label(request_of(20)).keypoints
    part = TruthTeacher(BODY, **options, seed=7).label(request_of(5, first=10)).keypoints
    assert torch.equal(part, whole[10:15])
    assert not torch.equal(TruthTeacher(BODY, **options, seed=8).label(request_of(20)).keypoints, whole)


def test_one_fault_does_not_change_another() -> None:
    noisy = TruthTeacher(BODY, noise=0.01).label(request_of(20)).keypoints
    both = TruthTeacher(BODY, noise=0.01, misses=0.3).label(request_of(20)).keypoints
    found = both[..., 2] > 0
    assert torch.equal(both[found], noisy[found])


def test_the_truth_itself_is_left_alone() -> None:
    request = request_of(5)
    before = request.truth.clone()
    TruthTeacher(BODY, noise=0.1, misses=0.5, swaps=0.5).label(request)
    assert torch.equal(request.truth, before)


def test_a_stream_without_truth_is_refused() -> None:
    with pytest.raises(UserError, match="teacher=truth: "):
        TruthTeacher(None)
