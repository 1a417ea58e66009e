from __future__ import annotations

import math

import numpy as np
import pytest

from pose_oad.metrics.stream import backward_transfer, rank_correlation, recovery, redundancy

# Ten frames at 10 px, then a change: 40, 30, 20, 12, 10, 10, 10, … px.
ERRORS = np.array([10.0] * 10 + [40, 30, 20, 12, 10, 10, 10, 10, 10, 10])
IDS = np.arange(100, 120)
CHANGE = np.array([110])


@pytest.mark.parametrize(
    ("smooth", "tolerance", "frames"),
    [
        (1, 0.0, 4),  # frame 114 is the first at 10 px
        (1, 0.2, 3),  # 12 px are within 20 %
        (2, 0.1, 4),  # (12 + 10) / 2 = 11
        (4, 0.1, 6),  # (12 + 10 + 10 + 10) / 4 = 10.5; one frame earlier 13
        (4, 0.0, 7),
    ],
)
def test_recovery_is_the_first_frame_back_at_the_former_level(smooth: int, tolerance: float, frames: int) -> None:
    found = recovery(IDS, ERRORS, CHANGE, smooth, tolerance)
    assert found.frames.tolist() == [frames]
    assert found.recovered.tolist() == [True]


def test_only_frames_after_the_change_are_averaged() -> None:
    """A clip that is easier from its first frame on has recovered once as many frames have passed as are averaged."""
    errors = np.array([10.0] * 10 + [5.0] * 10)
    assert recovery(IDS, errors, CHANGE, 4, 0.0).frames.tolist() == [3]


def test_without_recovery_the_time_is_cut_off_at_the_next_change_and_at_the_end() -> None:
    errors = np.array([10.0] * 10 + [40.0] * 4 + [60.0] * 6)
    found = recovery(IDS, errors, np.array([110, 114]), 1, 0.1)
    assert found.frames.tolist() == [4, 6]
    assert found.recovered.tolist() == [False, False]


def test_each_change_has_its_own_level() -> None:
    """The second clip ends at 40 px, so that the third is back at once with 40 px."""
    errors = np.array([10.0] * 10 + [40.0] * 4 + [90, 40, 40, 40, 40, 40])
    found = recovery(IDS, errors, np.array([110, 114]), 2, 0.1)
    assert found.frames.tolist() == [4, 2]
    assert found.recovered.tolist() == [False, True]


def test_frames_in_which_nothing_counts_are_left_out_of_the_means() -> None:
    errors = ERRORS.copy()
    errors[[8, 9]] = math.nan  # before the change
    errors[14] = math.nan
    assert recovery(IDS, errors, CHANGE, 2, 0.0).frames.tolist() == [20 - 10]  # no level from two NaN frames
    assert not recovery(IDS, errors, CHANGE, 2, 0.0).recovered.any()
    assert recovery(IDS, errors, CHANGE, 3, 0.05).frames.tolist() == [6]  # nan, 10, 10; one earlier (12 + 10) / 2 = 11
    assert recovery(IDS, errors, CHANGE, 3, 0.15).frames.tolist() == [5]


def test_frames_that_were_not_measured_are_no_frames() -> None:
    """One frame in two: times are still in frames of the stream."""
    found = recovery(IDS[::2], ERRORS[::2], CHANGE, 2, 0.0)
    assert found.frames.tolist() == [4]
    assert recovery(IDS[::2], ERRORS[::2], CHANGE, 4, 0.1).frames.tolist() == [6]  # frames 114 and 116


def test_no_change_and_no_curve_are_legal() -> None:
    assert recovery(IDS, ERRORS, np.array([], dtype=int), 3, 0.1).frames.tolist() == []
    nothing = recovery(np.array([], dtype=int), np.array([]), CHANGE, 3, 0.1)
    assert (nothing.frames.tolist(), nothing.recovered.tolist()) == ([0], [False])


@pytest.mark.parametrize(
    ("ids", "gap", "share"),
    [
        ([1, 2, 50, 60], 5, 0.5),
        ([1, 2, 50, 60], 10, 1.0),
        ([1, 2, 50, 60], 0, 0.0),
        ([60, 2, 50, 1], 5, 0.5),
        ([1, 5, 9, 100], 4, 0.75),
        ([7], 10, 0.0),
    ],
)
def test_redundancy_is_the_share_of_frames_with_a_neighbour(ids: list[int], gap: int, share: float) -> None:
    assert redundancy(np.array(ids), gap) == share


def test_redundancy_of_nothing_is_unknown() -> None:
    assert math.isnan(redundancy(np.array([], dtype=int), 5))


def test_rank_correlation_looks_at_ranks_only() -> None:
    errors = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(np.array([0.1, 5.0, 6.0, 900.0]), errors) == pytest.approx(1)
    assert rank_correlation(-(errors**3), errors) == pytest.approx(-1)
    # ranks 1 3 2 4 against 1 2 3 4: 1 - 6 (0 + 1 + 1 + 0) / (4 * 15)
    assert rank_correlation(np.array([1.0, 3.0, 2.0, 4.0]), errors) == pytest.approx(0.8)


def test_rank_correlation_leaves_out_what_is_unknown_and_ranks_minus_infinity_last() -> None:
    scores = np.array([1.0, 3.0, 2.0, np.nan, 4.0])
    errors = np.array([1.0, 2.0, 3.0, 0.0, 4.0])
    assert rank_correlation(scores, errors) == pytest.approx(0.8)
    errors[4] = np.nan
    assert rank_correlation(scores, errors) == pytest.approx(0.5)  # 1 3 2 against 1 2 3: 1 - 6 * 2 / (3 * 8)
    # The frame of largest error is ranked last: 2 3 4 1 against 1 2 3 4, 1 - 6 (1 + 1 + 1 + 9) / (4 * 15).
    hidden = np.array([1.0, 2.0, 3.0, -np.inf])
    assert rank_correlation(hidden, np.array([1.0, 2.0, 3.0, 99.0])) == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("scores", "errors"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [4, 4, 4]), ([], [])]
)
def test_rank_correlation_of_too_little_is_unknown(scores: list[float], errors: list[float]) -> None:
    assert math.isnan(rank_correlation(np.array(scores, float), np.array(errors, float)))


def test_backward_transfer_is_the_mean_gain() -> None:
    met, final = np.array([10.0, 20.0, np.nan, 5.0]), np.array([4.0, 22.0, 3.0, np.nan])
    assert backward_transfer(met, final) == pytest.approx((6 - 2) / 2)
    assert math.isnan(backward_transfer(np.array([np.nan]), np.array([1.0])))
