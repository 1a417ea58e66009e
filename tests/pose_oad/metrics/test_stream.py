from __future__ import annotations

import math

import numpy as np
import pytest

from pose_oad.metrics.stream import joint_mean, rank_correlation, redundancy, spans_at_changes, stream_means


def test_every_joint_weighs_the_same() -> None:
    """Three joints of 10 px in one frame and one of 30 px in another: 60 px over four joints."""
    errors = np.array([10.0, 30.0, math.nan])
    assert joint_mean(errors, np.array([3, 1, 0])) == 15.0
    assert math.isnan(joint_mean(errors[2:], np.array([0])))
    assert math.isnan(joint_mean(np.array([]), np.array([], dtype=int)))


def test_parts_of_a_stream_are_told_by_frame_numbers() -> None:
    ids, errors = np.array([0, 3, 6, 8, 11]), np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    found = stream_means(ids, errors, np.ones(5, dtype=int))
    assert found == {"": 31 / 5, "_second_half": 28 / 3, "_last_third": 12.0}
    assert all(math.isnan(mean) for mean in stream_means(ids[:0], errors[:0], ids[:0]).values())


def test_spans_end_at_the_next_change() -> None:
    ids = np.arange(100, 120, 2)
    (before, after), (second, last) = spans_at_changes(ids, np.array([106, 110]), 6)
    assert (ids[before].tolist(), ids[after].tolist()) == ([100, 102, 104], [106, 108])
    assert (ids[second].tolist(), ids[last].tolist()) == ([106, 108], [110, 112, 114])
    assert spans_at_changes(ids, np.array([], dtype=int), 6) == []


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
