"""Error- and confidence-based querying on a hand-made window of four frames.

Frame 0: every joint is 10 px off and sure. Frame 1: one joint is 100 px off, but not found; the others fit.
Frame 2: nothing is found. Frame 3: every joint fits, confidence .3 to .9.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from callbacks.strategies.base import QueryStrategy
from callbacks.strategies.confidence import Confidence
from callbacks.strategies.error import Error
from pose_oad.online.label_service import LabelService
from pose_oad.online.view import SelectionView, Situation
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests import windows
from tests.windows import make_window

BODY = get_skeleton("body-12")


@pytest.fixture
def situation() -> Situation:
    truth = torch.zeros(4, 1, 12, 3)
    truth[..., 0], truth[..., 1], truth[..., 2] = 30.0, 40.0, 1.0
    predictions = truth[:, 0].clone()
    predictions[..., 2] = 0.95
    predictions[0, :, 0] += 10
    predictions[1, 5] = torch.tensor([130.0, 40.0, 0.05])
    predictions[2, :, 2] = 0.02
    predictions[3, :, 2] = torch.linspace(0.3, 0.9, 12)
    labels = LabelService(TruthTeacher(BODY))
    return Situation(make_window(4, truth=truth), windows.small_student(), labels, predictions)


def score(strategy: QueryStrategy, situation: Situation) -> list[float]:
    return strategy.score(SelectionView(situation, 1, np.random.default_rng(0))).tolist()


def test_error_with_the_papers_rule_looks_away_from_the_worst_frames(situation: Situation) -> None:
    assert score(Error(undetected_joints="zero"), situation) == pytest.approx([10, 0, -np.inf, 0])


def test_error_with_the_worst_rule_looks_at_them(situation: Situation) -> None:
    diagonal = np.hypot(64, 64)
    assert score(Error(undetected_joints="worst"), situation) == pytest.approx([10, diagonal / 12, diagonal, 0])


def test_error_asks_the_teacher_about_every_candidate(situation: Situation) -> None:
    score(Error(), situation)
    assert situation.labels.take_counts() == {"teacher_calls": 4}


def test_error_of_a_frame_without_a_person_is_nothing(situation: Situation) -> None:
    blind = replace(situation, labels=LabelService(TruthTeacher(BODY, misses=1.0)))
    assert score(Error(undetected_joints="worst"), blind) == [0, 0, 0, 0]


def test_confidence_with_the_papers_rule_ranks_undetected_frames_last(situation: Situation) -> None:
    assert score(Confidence(undetected_joints="zero"), situation) == pytest.approx([0.05, 0.05, -np.inf, 0.7])


def test_confidence_with_the_worst_rule_ranks_them_first(situation: Situation) -> None:
    assert score(Confidence(undetected_joints="worst"), situation) == pytest.approx([0.05, 1, 1, 0.7])


@pytest.mark.parametrize(("reduce", "expected"), [("min", 0.7), ("mean", 0.4), ("max", 0.1)])
def test_confidence_reduces_over_joints(situation: Situation, reduce: str, expected: float) -> None:
    assert score(Confidence(reduce=reduce), situation)[3] == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", [Error, Confidence])
def test_another_rule_is_refused(strategy: type) -> None:
    with pytest.raises(UserError, match=r"strategy.undetected_joints=best: expected zero or worst"):
        strategy(undetected_joints="best")
    with pytest.raises(UserError, match=r"strategy.reduce=median"):
        Confidence(reduce="median")  # type: ignore[arg-type]
