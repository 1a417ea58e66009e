from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pose_oad.poses.maps import encode
from pose_oad.poses.maps.links import _assign, find_links
from pose_oad.poses.maps.peaks import find_peaks
from pose_oad.poses.skeleton import Skeleton

PAIR = Skeleton("pair", ("left_end", "right_end"), ((0, 1),))


def links_of(people: list, threshold: float = 0.05, share: float = 0.8, **change: float) -> tuple:
    keypoints = torch.tensor([people])
    maps, fields = encode(keypoints, PAIR, input_size=(40, 40), map_size=(40, 40))
    peaks = find_peaks(maps, 0.1, 10)
    links = find_links(peaks, fields * change.get("factor", 1.0), PAIR, threshold=threshold, share=share)
    places = np.stack([peaks.x, peaks.y], -1)
    ends = np.concatenate([places[links.first], places[links.second]], -1)
    return sorted(ends.tolist()), links.score


def test_pairs_the_ends_of_crossing_limbs() -> None:
    ends, score = links_of([[[5.5, 5.5, 1], [30.5, 30.5, 1]], [[30.5, 5.5, 1], [5.5, 30.5, 1]]])
    assert ends[0] == pytest.approx((5.5, 5.5, 30.5, 30.5), abs=1e-3)
    assert ends[1] == pytest.approx((30.5, 5.5, 5.5, 30.5), abs=1e-3)
    assert len(score) == 2


def test_score_is_the_mean_of_the_field_along_the_limb() -> None:
    _, score = links_of([[[5.5, 5.5, 1], [25.5, 5.5, 1]]], factor=0.5)
    assert score == pytest.approx([0.5], abs=1e-4)


@pytest.mark.parametrize("change", [{"factor": -1.0}, {"factor": 0.04}, {"factor": float("nan")}, {"factor": 0.0}])
def test_turns_down_what_the_field_does_not_support(change: dict[str, float]) -> None:
    assert links_of([[[5.5, 5.5, 1], [25.5, 5.5, 1]]], **change)[0] == []


def test_turns_down_a_limb_supported_on_too_short_a_way() -> None:
    maps, fields = encode(
        torch.tensor([[[[5.5, 5.5, 1], [25.5, 5.5, 1]]]]), PAIR, input_size=(40, 40), map_size=(40, 40)
    )
    fields[..., 13:] = 0  # 7 of 20 cells are left: four of ten points
    peaks = find_peaks(maps, 0.1, 10)
    assert len(find_links(peaks, fields, PAIR, threshold=0.05, share=0.4).score) == 1
    assert len(find_links(peaks, fields, PAIR, threshold=0.05, share=0.5).score) == 0


def test_no_peaks_no_links() -> None:
    peaks = find_peaks(torch.zeros(2, 2, 8, 8), 0.1, 10)
    assert len(find_links(peaks, torch.ones(2, 1, 2, 8, 8), PAIR, threshold=0.05, share=0.8).score) == 0


def test_assignment_is_the_best_in_sum() -> None:
    generator = np.random.default_rng(0)
    for _ in range(30):
        score = generator.random((3, 4)) * (generator.random((3, 4)) > 0.3)
        row, column = score.nonzero()
        chosen = _assign(np.zeros(len(row), int), row, column, score[row, column])
        best = max(sum(score[range(3), order]) for order in itertools.permutations(range(4), 3))
        assert score[row[chosen], column[chosen]].sum() == pytest.approx(best)
        assert len(set(row[chosen])) == len(set(column[chosen])) == len(chosen)


def test_assignment_prefers_the_sum_to_the_single_best() -> None:
    # Taking the 0.9 first would leave 0.1 for the other row: 1.0 in all, where 0.8 + 0.7 is possible.
    group, row, column = np.array([7, 7, 7, 7]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert sorted(_assign(group, row, column, np.array([0.9, 0.8, 0.7, 0.1]))) == [1, 2]
