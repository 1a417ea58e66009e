"""What every query strategy shares: exact and repeatable selection, and a view that hides the truth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pose_oad.online.distillation import as_distillation
from pose_oad.online.record import Choice
from pose_oad.online.view import SelectionView, Situation
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.schema import Count

Scorer = Literal["frozen", "live"]


@dataclass(eq=False, repr=False)
class QueryStrategy(Callback):
    """Choose frames of a window for the teacher to label.

    A strategy implements :meth:`score` (the frames of highest score are chosen) or overrides :meth:`select` (it names
    the frames itself, up to ``view.budget``). Everything else is done here, once: ties are broken at random by the
    window's own seeded generator, a NaN score ranks last, and what is chosen is checked. One that remembers something
    from window to window (:meth:`remember`) returns it from ``state_dict``.

    Args:
        seed: ``seed.selection``
        scorer: whose predictions are scored: ``frozen`` is the student as it was before the stream, ``live`` the
            student as it is now
        min_gap: smallest distance between chosen frames, in frames, as long as enough frames are left to keep it;
            1 is no restriction
        bins: whether the candidates are cut into as many equal runs as frames may be chosen, of which each gives its
            best one, as long as it can

    Raises:
        UserError: if a value is out of range.
    """

    #: Whether it is handed the ground truth: the oracle is, and nothing that could be used on a device.
    sees_truth = False
    #: Whether it takes forward passes of its own beside the scorer's predictions.
    costly = False
    #: Whether it is a point of comparison rather than a way to choose frames; reports set it apart.
    reference = False

    seed: int = 0
    scorer: Scorer = "frozen"
    min_gap: Count = 1
    bins: bool = False

    def __post_init__(self) -> None:
        check(self.scorer in ("frozen", "live"), "strategy.scorer", self.scorer, "frozen or live")
        spaced = isinstance(self.min_gap, int) and self.min_gap >= 1
        check(spaced, "strategy.min_gap", self.min_gap, "a number of frames, 1 or more")
        self._frozen: PoseStudent | None = None

    @property
    def name(self) -> str:
        """Name of the strategy in reports."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def budget(self, planned: int, candidates: int) -> int:
        """Return how many frames may be chosen.

        Args:
            planned: what the trigger gives the window
            candidates: how many frames the teacher could label
        """
        return min(planned, candidates)

    def score(self, view: SelectionView) -> np.ndarray:
        """Say how much each frame is worth labelling; larger is more.

        Returns:
            shape (frames,), aligned with ``view.ids``; entries of frames that are no candidates are ignored.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement score() or select()")

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose ``view.budget`` positions out of ``view.candidates``; by default those of highest score."""
        scores = np.asarray(self.score(view), dtype=np.float64)
        if scores.shape != (len(view),):
            raise UserError(f"strategy {self.name}: score() returned shape {scores.shape}, expected ({len(view)},)")
        view.scores = scores
        return view.candidates[top_k(scores[view.candidates], self.spacing(view), view.rng)]

    def spacing(self, view: SelectionView) -> Spacing:
        """Return which candidates may still be chosen, given those that have been."""
        return Spacing(view.candidates, view.budget, self.min_gap, self.bins)

    def remember(self, view: SelectionView, positions: np.ndarray) -> None:
        """Take note of what was chosen; its labels are in the history of the next window."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the student as it is before the stream."""
        self._frozen = as_distillation(pl_module).pretrained

    def choose(self, situation: Situation, label_budget: int) -> Choice:
        """Choose frames of a window, and check what was chosen.

        Args:
            situation: the window, and what surrounds it
            label_budget: how many may be chosen

        Raises:
            UserError: if the strategy returned more than the budget or no different candidates, or needs a ground truth
                that the stream has not.
        """
        window = situation.window
        budget = self.budget(label_budget, len(window.candidates))
        if not budget:
            return Choice(np.empty(0, dtype=np.int64))
        rng = np.random.Generator(np.random.Philox(key=[self.seed, window.index]))
        truth = self._truth(window, situation.student.skeleton) if self.sees_truth else None
        view = SelectionView(situation, budget, rng, self._frozen if self.scorer == "frozen" else None, truth)
        chosen = np.asarray(self.select(view), dtype=np.int64)
        different = np.unique(chosen)
        if len(different) != len(chosen) or len(chosen) > budget or not np.isin(chosen, window.candidates).all():
            raise UserError(
                f"strategy {self.name}: window {window.index}: chose {len(chosen)} frames ({len(different)} different),"
                f" expected up to {budget} different candidates"
            )
        self.remember(view, different)
        return Choice(different, view.scores)

    def _truth(self, window: FrameWindow, skeleton: Skeleton) -> Tensor:
        """Open the ground truth for a strategy that says it sees it; the person that evaluation measures."""
        truth = reveal(window)
        if truth is None or window.truth_skeleton is None:
            raise UserError(
                f"strategy={self.name}: this stream has no ground truth to choose by; choose another strategy, as "
                "strategy=error"
            )
        return map_keypoints(truth[:, 0], window.truth_skeleton, skeleton)


class Spacing:
    """Which of some positions may still be chosen: none close to one that has been, and one of each bin.

    Where that leaves none, all that have not been chosen may.

    Args:
        positions: ascending, shape (n,)
        k: how many are to be chosen, at most n
        min_gap: smallest distance between chosen positions
        bins: whether each of k runs of equal length gives one
    """

    def __init__(self, positions: np.ndarray, k: int, min_gap: int = 1, bins: bool = False) -> None:
        self.k, self._positions, self._min_gap = k, positions, min_gap
        self._bin = np.arange(len(positions)) * k // len(positions) if bins else None
        self._taken, self._blocked = np.zeros((2, len(positions)), dtype=bool)

    @property
    def free(self) -> np.ndarray:
        """Which may be chosen now, bool, shape (n,)."""
        free = ~self._taken & ~self._blocked
        return free if free.any() else ~self._taken

    def take(self, at: int) -> int:
        """Choose one, by its place among the positions, and return it."""
        self._taken[at] = True
        self._blocked |= np.abs(self._positions - self._positions[at]) < self._min_gap
        if self._bin is not None:
            self._blocked |= self._bin == self._bin[at]
        return at

    def take_best(self, scores: np.ndarray) -> int:
        """Choose the one of highest score, shape (n,), the first of equals, and return its place."""
        free = np.flatnonzero(self.free)
        return self.take(int(free[scores[free].argmax()]))


def top_k(scores: np.ndarray, spacing: Spacing, rng: np.random.Generator) -> np.ndarray:
    """Choose by the highest score.

    Args:
        scores: shape (n,); NaN ranks below everything
        spacing: how many are chosen, and how far apart
        rng: breaks ties

    Returns:
        Chosen places, best first, shape (k,).
    """
    shuffled = rng.permutation(len(scores))
    order = shuffled[np.argsort(-np.where(np.isnan(scores), -np.inf, scores)[shuffled], kind="stable")]
    return np.array([spacing.take(order[spacing.free[order].argmax()]) for _ in range(spacing.k)], dtype=np.int64)
