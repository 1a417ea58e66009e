"""What every query strategy shares: the budget, exact and repeatable selection, and a view that hides the truth."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Literal

import numpy as np
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pose_oad.online.distillation import as_distillation
from pose_oad.online.window import FrameWindow, SelectionView, reveal
from pose_oad.online.window_poses import predict_in_window
from pose_oad.poses.maps import People
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import UserError, check

Scorer = Literal["frozen", "live"]


class QueryStrategy(Callback):
    """Choose frames of a window for the teacher to label.

    A strategy implements :meth:`score` (the frames of highest score are chosen) or overrides :meth:`select` (it names
    the frames itself). Everything else is done here, once: the budget is ``int(rate * frames)`` to the frame, ties are
    broken at random by the window's own seeded generator, a NaN score ranks last, and what is chosen is checked.

    Args:
        rate: share of a window's frames to choose, in (0, 1]
        seed: ``seed.selection``
        scorer: whose predictions are scored: ``frozen`` is the student as it was before the stream, ``live`` the
            student as it is now
        min_gap: smallest distance between chosen frames, in frames, as long as enough frames are left to keep it;
            1 is no restriction

    Raises:
        UserError: if a value is out of range.
    """

    #: Whether :meth:`score` or :meth:`select` reads ``view.predictions``.
    needs_predictions = False
    #: Whether it is handed the ground truth: the oracle is, and nothing that could be used on a device.
    sees_truth = False
    #: Whether it is a point of comparison rather than a way to choose frames; reports set it apart.
    reference = False

    def __init__(self, rate: float = 0.1, seed: int = 0, scorer: Scorer = "frozen", min_gap: int = 1) -> None:
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        check(number and 0 < rate <= 1, "rate", rate, "a share of the frames in (0, 1]")
        check(scorer in ("frozen", "live"), "strategy.scorer", scorer, "frozen or live")
        check(isinstance(min_gap, int) and min_gap >= 1, "strategy.min_gap", min_gap, "a number of frames, 1 or more")
        self.rate, self.seed, self.scorer, self.min_gap = float(rate), seed, scorer, min_gap
        self._frozen: PoseStudent | None = None

    @property
    def name(self) -> str:
        """Name of the strategy in reports."""
        return type(self).__name__.lower()

    def budget(self, frames: int) -> int:
        """Return how many of a window's frames are chosen, before the candidates are looked at."""
        # The small term keeps 0.29 * 100 at 29.
        return int(self.rate * frames + 1e-9)

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
        """Keep a copy of the student as it is before the stream, if that is what is scored."""
        if self.needs_predictions and self.scorer == "frozen":
            self._frozen = copy.deepcopy(as_distillation(pl_module).student).requires_grad_(False).eval()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Choose the frames of one window."""
        window: FrameWindow = batch
        with window.phase("query"):
            window.selected = self.choose(window, as_distillation(pl_module).serving)

    def choose(self, window: FrameWindow, student: PoseStudent) -> np.ndarray:
        """Choose frames of a window and check what was chosen; the scores are kept in ``window.scores``.

        Args:
            window: the window
            student: the student as it is now

        Returns:
            Ascending positions in the window.

        Raises:
            UserError: if the strategy returned anything but as many different candidates as its budget, or needs a
                ground truth that the stream has not.
        """
        budget = min(self.budget(len(window)), len(window.candidates))
        rng = np.random.Generator(np.random.Philox(key=[self.seed, window.index]))
        predictions = self._predictions(window, student) if self.needs_predictions and budget else None
        truth = self._truth(window, student.skeleton) if self.sees_truth and budget else None
        scorer = student if self.scorer == "live" else self._frozen or student
        people = partial(_people, scorer, window) if self.needs_predictions else None
        view = SelectionView(window, budget, student.skeleton, rng, predictions, truth, people)
        chosen = np.asarray(self.select(view) if budget else [], dtype=np.int64)
        window.scores = view.scores
        if len(np.unique(chosen)) != budget or not np.isin(chosen, window.candidates).all():
            raise UserError(
                f"strategy {self.name}: window {window.index}: chose {len(chosen)} frames ({len(np.unique(chosen))} "
                f"different), expected {budget} different candidates"
            )
        return np.sort(chosen)

    def _predictions(self, window: FrameWindow, student: PoseStudent) -> Tensor | None:
        if self.scorer == "live":
            # Evaluation has just predicted this window with the student as it is now.
            return window.predictions
        return predict_in_window(self._frozen or student, window).single

    def _truth(self, window: FrameWindow, skeleton: Skeleton) -> Tensor:
        """Open the ground truth for a strategy that says it sees it; the person that evaluation measures."""
        truth = reveal(window)
        if truth is None or window.truth_skeleton is None:
            raise UserError(
                f"strategy={self.name}: this stream has no ground truth to choose by; choose another strategy, as "
                "strategy=error"
            )
        return map_keypoints(truth[:, 0], window.truth_skeleton, skeleton)


def _people(scorer: PoseStudent, window: FrameWindow, positions: np.ndarray) -> People:
    """Find everybody in some frames of a window, original px."""
    return predict_in_window(scorer, window, positions=positions, grouped=positions).people


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
