"""Several people in view, on hand-made frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.metrics.people import PeopleScores, _annotated, box_sizes, frame_means, holds_several, people_errors
from pose_oad.poses.maps import People
from pose_oad.poses.skeleton import get_skeleton

BODY = get_skeleton("coco-17")


def person(x: float, y: float, size: float = 100.0) -> torch.Tensor:
    """Return someone whose 17 joints lie on a slanted line across a square box."""
    along = torch.linspace(0, size, 17)
    return torch.stack([x + along, y + along, torch.ones(17)], -1)


def moved(someone: torch.Tensor, px: float) -> torch.Tensor:
    return someone + torch.tensor([px, 0.0, 0.0])


def frames(*people: list[torch.Tensor]) -> torch.Tensor:
    most = max(map(len, people))
    return torch.stack([torch.stack([*some, *[torch.zeros(17, 3)] * (most - len(some))]) for some in people])


def found(*people: list[torch.Tensor]) -> People:
    keypoints = frames(*people)
    return People(keypoints, (keypoints[..., 2] > 0).any(-1) * torch.linspace(0.9, 0.5, keypoints.shape[1]))


A, B = person(50, 50), person(300, 50)


def test_people_are_matched_whatever_their_order() -> None:
    measured = people_errors(found([moved(B, 4), moved(A, 2)]), frames([A, B]), BODY, MissingRule())
    assert measured.errors.per_frame().tolist() == pytest.approx([2, 4])
    assert measured.per_frame().tolist() == pytest.approx([3])
    assert people_errors(found([A]), frames([A]), BODY, MissingRule(), scale=2.0).errors.distance.sum() == 0


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (MissingRule("argmax"), (2 + 100 * math.sqrt(2)) / 2),
        (MissingRule("penalty", penalty=30), (2 + 30) / 2),
        (MissingRule("drop"), 2),
    ],
)
def test_a_person_whom_nobody_found_counts_by_the_rule_for_missing_joints(rule: MissingRule, error: float) -> None:
    measured = people_errors(found([moved(A, 2)]), frames([A, B]), BODY, rule)
    assert float(measured.per_frame()) == pytest.approx(error)
    scores = PeopleScores()
    scores.update(np.array([0]), measured)
    assert scores.compute()["matched_px"] == pytest.approx(2)
    assert scores.compute()["recall"] == 0.5


def test_a_joint_that_was_not_found_lies_a_diagonal_away() -> None:
    partly = A.clone()
    partly[:4] = 0
    measured = people_errors(found([partly]), frames([A]), BODY, MissingRule())
    assert measured.errors.distance[0].tolist() == pytest.approx([100 * math.sqrt(2)] * 4 + [0.0] * 13)
    assert measured.errors.found.sum() == 13


def test_figures_are_those_of_pycocotools() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = frames(*[[moved(A, 10 * n), moved(B, n)] if n % 3 else [A] for n in range(30)])
    noise = torch.randn(30, 2, 17, 2, generator=generator) * 4
    seen = wanted.clone()
    seen[..., :2] += noise * (wanted[..., 2:] > 0)
    seen[::5, 0] = 0
    people = People(seen, torch.rand(30, 2, generator=generator))
    scores = PeopleScores()
    for at in (slice(0, 12), slice(12, 30)):
        part = People(people.keypoints[at], people.scores[at])
        scores.update(np.arange(30)[at], people_errors(part, wanted[at], BODY, MissingRule()))

    there = (wanted[..., 2] > 0).any(-1).nonzero(as_tuple=True)
    truth = _annotated(wanted[there], there[0], box_sizes(wanted[there]).prod(-1))
    results = [
        r for n in range(30) for r in to_results(seen[n] + torch.tensor([0.5, 0.5, 0]), people.scores[n], BODY, n)
    ]
    expected = average_precision(truth, [r for r in results if max(r["keypoints"][2::3]) > 0], BODY)
    figures = scores.compute()
    assert 0.2 < figures["AP"] < 0.9
    assert {name: figures[name] for name in ("AP", "AP50", "AR")} == pytest.approx(
        {name: expected[name] for name in ("AP", "AP50", "AR")}
    )
    late = scores.since(20)
    assert (late["frames"], late["wanted"]) == (10, 17)
    assert late["AP"] != figures["AP"]


def test_someone_who_is_not_there_lowers_the_precision() -> None:
    scores = PeopleScores()
    scores.update(np.arange(2), people_errors(found([A], [B]), frames([A], []), BODY, MissingRule()))
    assert scores.compute()["AP"] == pytest.approx(1)  # a tie, which the earlier frame wins
    scores.update(np.array([2]), people_errors(found([B, A]), frames([A]), BODY, MissingRule()))
    assert 0.5 < scores.compute()["AP"] < 0.9


def test_frames_without_anybody_are_nothing_wrong() -> None:
    scores = PeopleScores()
    measured = people_errors(found([A], []), torch.zeros(2, 0, 17, 3), BODY, MissingRule())
    scores.update(np.arange(2), measured)
    assert measured.per_frame().isnan().all()
    assert math.isnan(scores.compute()["AP"])
    assert math.isnan(scores.compute()["recall"])


def test_who_has_too_few_joints_is_nobody() -> None:
    two = B.clone()
    two[2:] = 0
    assert not holds_several(frames([A, two], [A]))
    assert holds_several(frames([A], [A, B]))
    assert len(people_errors(found([A]), frames([A, two]), BODY, MissingRule()).people) == 1


def test_means_by_frame() -> None:
    values = frame_means(torch.tensor([1.0, 3.0, torch.nan, 5.0]), torch.tensor([0, 0, 0, 2]), 3)
    assert values[[0, 2]].tolist() == [2, 5]
    assert values[1].isnan()
