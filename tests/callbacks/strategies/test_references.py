"""The oracle on a hand-made window of five frames with errors 2, 9, 4, 7 and 0 px."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from callbacks.strategies.base import QueryStrategy
from callbacks.strategies.error import Error
from callbacks.strategies.references import Everything, Nothing, Oracle
from callbacks.strategies.sampling import Random, Uniform
from pose_oad.online.record import Choice
from pose_oad.online.view import SelectionView
from pose_oad.online.window import FrameWindow, GroundTruthAccessError
from pose_oad.poses.skeleton import get_skeleton, map_keypoints
from pose_oad.tracking.errors import UserError
from tests import windows
from tests.windows import make_window

BODY = get_skeleton("body-12")
ERRORS = [2.0, 9.0, 4.0, 7.0, 0.0]


def choose(strategy: QueryStrategy, window: FrameWindow, rate: float = 0.4) -> Choice:
    truth = torch.full((5, 12, 3), 20.0)
    truth[..., 2] = 1.0
    truth[..., 0] += torch.tensor(ERRORS)[:, None]
    truth[3, :, 2] = 0.0  # nothing found: the oracle knows better
    return windows.choose(strategy, window, rate, truth)


@pytest.fixture
def window() -> FrameWindow:
    truth = torch.full((5, 1, 12, 3), 20.0)
    truth[..., 2] = 1.0
    return make_window(5, truth=truth)


def test_the_oracle_chooses_the_frames_of_largest_true_error(window: FrameWindow) -> None:
    choice = choose(Oracle(), window)
    assert choice.positions.tolist() == [1, 3]
    assert choice.scores == pytest.approx(ERRORS)


def test_joints_without_a_true_position_have_no_say(window: FrameWindow) -> None:
    window._sealed_truth[1, 0, 1:, 2] = 0.0
    window._sealed_truth[1, 0, 0, 0] += 9.0  # the one labelled joint fits
    window._sealed_truth[4, 0, :, 2] = 0.0  # nothing to be wrong about
    assert choose(Oracle(), window, 0.4).positions.tolist() == [2, 3]
    assert choose(Oracle(), window, 0.8).positions.tolist() == [0, 1, 2, 3]


def test_the_oracle_reads_a_truth_in_another_joint_set(window: FrameWindow) -> None:
    h36m = get_skeleton("human36m-32")
    truth = map_keypoints(window._sealed_truth, BODY, h36m)
    window = replace(window, _sealed_truth=truth, truth_skeleton=h36m)
    assert choose(Oracle(), window, 0.4).positions.tolist() == [1, 3]


def test_the_oracle_needs_a_ground_truth(window: FrameWindow) -> None:
    with pytest.raises(UserError, match="strategy=oracle"):
        choose(Oracle(), replace(window, _sealed_truth=None))


def test_nobody_else_sees_the_truth(window: FrameWindow) -> None:
    class Cheat(Oracle):
        sees_truth = False

    class Plain(QueryStrategy):
        def score(self, view: SelectionView) -> np.ndarray:
            return view.truth[:, 0, 0].numpy()

    for strategy in (Cheat(), Plain()):
        with pytest.raises(GroundTruthAccessError):
            choose(strategy, window)


def test_references_are_marked_and_strategies_are_not() -> None:
    assert [s.reference for s in (Everything, Nothing, Oracle)] == [True] * 3
    assert [s.reference for s in (QueryStrategy, Random, Uniform, Error)] == [False] * 4
    assert [s.sees_truth for s in (Everything, Nothing, Random, Uniform, Error)] == [False] * 5
    assert [s().name for s in (Everything, Nothing, Oracle)] == ["all", "none", "oracle"]


def test_scores_are_kept_where_there_are_any(window: FrameWindow) -> None:
    scores = choose(Error(scorer="live", undetected_joints="worst"), window).scores
    assert scores is not None
    assert scores[[0, 1, 2, 4]] == pytest.approx([2, 9, 4, 0])
    for strategy in (Uniform(), Everything(), Nothing()):
        assert choose(strategy, window).scores is None
