from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from callbacks.strategies.base import QueryStrategy, Spacing, top_k
from callbacks.strategies.references import Everything, Nothing
from callbacks.strategies.sampling import Bins, Random, Uniform
from pose_oad.online.view import SelectionView
from pose_oad.online.window import FrameWindow, GroundTruthAccessError
from pose_oad.tracking.errors import UserError
from tests import windows
from tests.windows import make_window


class ByScore(QueryStrategy):
    """Choose by scores given beforehand."""

    def __init__(self, scores: list[float], **options) -> None:
        super().__init__(**options)
        self.scores = scores

    def score(self, view: SelectionView) -> np.ndarray:
        return np.array(self.scores)


def choose(strategy: QueryStrategy, rate: float, window: FrameWindow | None = None) -> list[int]:
    return windows.choose(strategy, window or make_window(10), rate).positions.tolist()


@pytest.mark.parametrize(
    ("rate", "frames", "budget"),
    [(0.01, 1500, 15), (0.05, 1500, 75), (0.4, 1500, 600), (0.29, 100, 29), (0.1, 9, 0), (1.0, 7, 7)],
)
def test_budgets_are_exact(rate: float, frames: int, budget: int) -> None:
    for strategy in (Random(), Uniform()):
        assert len(choose(strategy, rate, make_window(frames))) == budget


def test_uniform_has_a_fixed_stride() -> None:
    assert choose(Uniform(), 0.01, make_window(1500)) == list(range(0, 1500, 100))
    assert choose(Uniform(), 0.3) == [0, 3, 6]


def test_random_depends_on_seed_and_window_and_on_nothing_else() -> None:
    one, other = (make_window(200, index=index) for index in range(2))
    first, again = (choose(Random(seed=3), 0.1, one) for _ in range(2))
    assert first == again
    assert first != choose(Random(seed=4), 0.1, one)
    assert first != choose(Random(seed=3), 0.1, other)


def test_random_has_no_favourites() -> None:
    counts = np.zeros(50)
    for seed in range(400):
        counts[choose(Random(seed=seed), 0.1, make_window(50))] += 1
    assert counts.sum() == 2000
    assert counts.min() > 15  # binomial: mean 40, deviation 6
    assert counts.max() < 75


def test_the_highest_scores_are_chosen() -> None:
    assert choose(ByScore([0, 9, 1, 8, 2, 7, 3, 6, 4, 5]), 0.3) == [1, 3, 5]


def test_nan_ranks_last_and_infinity_first() -> None:
    scores = [np.nan, 1, np.inf, np.nan, 0, -np.inf, np.nan, np.nan, np.nan, np.nan]
    assert choose(ByScore(scores), 0.3) == [1, 2, 4]


def test_ties_are_broken_at_random_but_repeatably() -> None:
    chosen = [choose(ByScore([1.0] * 10, seed=seed), 0.3) for seed in range(20)]
    assert len({tuple(c) for c in chosen}) > 5
    assert chosen[0] == choose(ByScore([1.0] * 10, seed=0), 0.3)


def test_a_gap_spaces_the_chosen_frames_and_yields_to_the_budget() -> None:
    scores = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert choose(ByScore(scores, min_gap=3), 0.3) == [0, 3, 6]
    assert choose(ByScore(scores, min_gap=6), 0.5) == [0, 1, 2, 3, 6]


def test_bins_give_their_best_each_and_go_with_a_gap() -> None:
    scores = [9, 8, 7, 0, 0, 6, 5, 4, 3, 2]
    assert choose(ByScore(scores, bins=True), 0.2) == [0, 5]
    assert choose(ByScore(scores, bins=True), 0.5) == [0, 2, 5, 6, 8]
    assert choose(ByScore(scores, bins=True, min_gap=2), 0.5) == [0, 2, 5, 7, 9]
    for seed in range(20):
        assert [at // 20 for at in choose(Bins(seed=seed), 0.05, make_window(100))] == list(range(5))


def test_only_frames_the_teacher_has_seen_are_chosen() -> None:
    window = make_window(30, every=7)
    assert choose(Random(), 0.1, window) != []
    assert set(choose(Everything(), 0.1, window)) == {0, 7, 14, 21, 28}
    assert set(choose(Random(), 0.9, window)) == {0, 7, 14, 21, 28}
    assert choose(Uniform(), 0.1, window) == [0, 7, 21]


def test_references_ignore_the_rate() -> None:
    assert choose(Everything(), 0.1) == list(range(10))
    assert choose(Nothing(), 0.9) == []


@pytest.mark.parametrize("chosen", [[0, 0, 1], [0, 1, 2, 3], [0, 1, 99]])
def test_a_strategy_that_breaks_its_budget_is_told_so(chosen: list[int]) -> None:
    class Broken(QueryStrategy):
        def select(self, view: SelectionView) -> np.ndarray:
            return np.array(chosen)

    with pytest.raises(UserError, match=r"strategy broken: window 0: .* up to 3 "):
        choose(Broken(), 0.3)


def test_a_strategy_may_choose_fewer_than_its_budget() -> None:
    class Modest(QueryStrategy):
        def select(self, view: SelectionView) -> np.ndarray:
            return np.array([4, 2])

    assert choose(Modest(), 0.3) == [2, 4]


def test_scores_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(UserError, match=r"score\(\) returned shape \(4,\), expected \(10,\)"):
        choose(ByScore([1, 2, 3, 4]), 0.3)


def test_a_strategy_that_looks_at_the_truth_fails_loudly() -> None:
    class Cheat(QueryStrategy):
        def score(self, view: SelectionView) -> np.ndarray:
            return view.truth.numpy()

    with pytest.raises(GroundTruthAccessError):
        choose(Cheat(), 0.3)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"scorer": "warm"}, "strategy.scorer=warm"),
        ({"min_gap": 0}, "strategy.min_gap=0"),
    ],
)
def test_unusable_options_are_refused(options: dict, key: str) -> None:
    with pytest.raises(UserError, match=key):
        Random(**options)


def test_top_k_of_everything_is_everything() -> None:
    spacing = Spacing(np.array([2, 5, 9]), 3)
    assert sorted(top_k(np.zeros(3), spacing, np.random.default_rng(0))) == [0, 1, 2]


class Peek(QueryStrategy):
    """Keeps what it sees."""

    def score(self, view: SelectionView) -> np.ndarray:
        self.view = view
        self.seen = [view.predictions, view.features, *view.maps(np.array([1, 4]))]
        return np.zeros(len(view))


def test_live_scores_read_the_predictions_of_evaluation() -> None:
    student, predictions = windows.small_student(), torch.ones(10, 12, 3)
    live, frozen = Peek(scorer="live"), Peek(scorer="frozen")
    frozen._frozen = copy.deepcopy(student)
    for strategy in (live, frozen):
        windows.choose(strategy, make_window(10), 0.3, predictions, student)
    assert live.seen[0] is predictions
    assert not torch.equal(frozen.seen[0], predictions)


def test_a_view_gives_features_and_maps_computed_once() -> None:
    student, strategy, window = windows.small_student(), Peek(scorer="live"), make_window(10)
    windows.choose(strategy, window, 0.3, student=student)
    _, features, maps, fields = strategy.seen
    assert features.shape == (10, student.backbone.feature_info.channels()[-1])
    assert torch.allclose(features[3], student.features(window.frames[3:4])[0], atol=1e-5)
    assert strategy.view.features is features
    expected = student.maps(window.frames[[1, 4]])
    assert torch.allclose(maps, expected[0], atol=1e-5)
    assert torch.allclose(fields, expected[1], atol=1e-5)


def test_a_view_shows_the_labels_of_earlier_windows() -> None:
    strategy, seen = Peek(scorer="live"), []
    loop = windows.make_loop(strategy=strategy, rate=0.2, epochs=1)
    for index in range(3):
        windows.play(loop, make_window(10, index=index))
        seen.append(strategy.view.history.ids.tolist())
    assert [len(ids) for ids in seen] == [2, 4, 6]  # the view is of the loop's own: it goes on growing
    assert loop.history.poses.shape == (6, 12, 3)
    assert set(seen[-1][2:4]) <= set(range(10, 20))
