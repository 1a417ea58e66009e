"""What every query strategy shares: exact and repeatable selection, and a view that hides the truth."""

from __future__ import annotations

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

Scorer = Literal["frozen", "live"]


class QueryStrategy(Callback):
    """Choose frames of a window for the teacher to label.

    A strategy implements :meth:`score` (the frames of highest score are chosen) or overrides :meth:`select` (it names
    the frames itself, up to ``view.budget``). Everything else is done here, once: ties are broken at random by the
    window's own seeded generator, a NaN score ranks last, and what is chosen is checked. One that remembers something
    from window to window returns it from ``state_dict``.

    Args:
        seed: ``seed.selection``
        scorer: whose predictions are scored: ``frozen`` is the student as it was before the stream, ``live`` the
            student as it is now
        min_gap: smallest distance between chosen frames, in frames, as long as enough frames are left to keep it;
            1 is no restriction

    Raises:
        UserError: if a value is out of range.
    """

    #: Whether it is handed the ground truth: the oracle is, and nothing that could be used on a device.
    sees_truth = False
    #: Whether it is a point of comparison rather than a way to choose frames; reports set it apart.
    reference = False

    def __init__(self, seed: int = 0, scorer: Scorer = "frozen", min_gap: int = 1) -> None:
        check(scorer in ("frozen", "live"), "strategy.scorer", scorer, "frozen or live")
        check(isinstance(min_gap, int) and min_gap >= 1, "strategy.min_gap", min_gap, "a number of frames, 1 or more")
        self.seed, self.scorer, self.min_gap = seed, scorer, min_gap
        self._frozen: PoseStudent | None = None

    @property
    def name(self) -> str:
        """Name of the strategy in reports."""
        return type(self).__name__.lower()

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
        return top_k(scores[view.candidates], view.candidates, view.budget, self.min_gap, view.rng)

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


def top_k(scores: np.ndarray, positions: np.ndarray, k: int, min_gap: int, rng: np.random.Generator) -> np.ndarray:
    """Choose the k positions of highest score, optionally spaced out.

    Args:
        scores: shape (n,); NaN ranks below everything
        positions: what the scores belong to, ascending, shape (n,)
        k: how many to choose, at most n
        min_gap: smallest distance between chosen positions; where it leaves fewer than k, the best of the rest fill up
        rng: breaks ties

    Returns:
        Chosen positions, best first, shape (k,).
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    shuffled = rng.permutation(len(scores))
    order = shuffled[np.argsort(-scores[shuffled], kind="stable")]
    if min_gap <= 1:
        return positions[order[:k]]
    chosen: list[int] = []
    free = np.ones(len(scores), dtype=bool)
    for candidate in order:
        if len(chosen) == k:
            break
        if free[candidate]:
            chosen.append(candidate)
            free &= np.abs(positions - positions[candidate]) >= min_gap
    taken = set(chosen)
    chosen += [candidate for candidate in order if candidate not in taken][: k - len(chosen)]
    return positions[np.array(chosen, dtype=np.int64)]
