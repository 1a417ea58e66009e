"""What an error curve and a selection say beyond their mean: recovery, redundancy, rank correlation, transfer.

Pure functions on arrays. Frames are numbered as in the stream; errors are px; a NaN is a frame in which nothing counted
and is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, spearmanr


class Recovery(NamedTuple):
    """How long the error took to come down again after each change of clip.

    Attributes:
        frames: frames from the change to the frame of recovery, or to the next change (the stream's end) where there
            was none, int64, shape (changes,)
        recovered: whether there was one, bool, shape (changes,); where not, ``frames`` is a lower bound
    """

    frames: np.ndarray
    recovered: np.ndarray


def recovery(frame_ids: np.ndarray, errors: np.ndarray, changes: np.ndarray, smooth: int, tolerance: float) -> Recovery:
    """Find when the error is back at the level it had before each change.

    The level is the mean error over the ``smooth`` frames before the change. The error has recovered at the first frame
    at which the mean over the ``smooth`` frames up to it, all of them after the change, is at most ``1 + tolerance``
    times that level; the shortest time that can be seen is therefore ``smooth - 1`` frames. A change whose level is
    unknown (nothing was measured before it) cannot be recovered from.

    Args:
        frame_ids: numbers of the measured frames, ascending, shape (frames,); gaps are frames not measured
        errors: their errors, px, shape (frames,)
        changes: numbers of the first frames of clips, ascending, without the stream's first, shape (changes,)
        smooth: frames to average over, 1 or more
        tolerance: how much above its former level the error may stay, fraction of the level
    """
    curve = _Means(frame_ids, errors)
    changes = np.asarray(changes, dtype=np.int64)
    end = int(frame_ids[-1]) + 1 if len(frame_ids) else 0
    lasted = np.append(changes[1:], max(end, *changes[-1:])) - changes if len(changes) else changes
    frames, recovered = lasted.copy(), np.zeros(len(changes), dtype=bool)
    for at, (change, length) in enumerate(zip(changes, lasted, strict=True)):
        level = curve.between(change - smooth, change)
        after = frame_ids[(frame_ids >= change + smooth - 1) & (frame_ids < change + length)]
        # A NaN on either side compares as false.
        low = np.flatnonzero(curve.between(after - smooth + 1, after + 1) <= level * (1 + tolerance))
        if len(low):
            frames[at], recovered[at] = after[low[0]] - change, True
    return Recovery(frames, recovered)


def redundancy(ids: np.ndarray, gap: int) -> float:
    """Return the share of chosen frames that have another chosen frame close by.

    Neighbours in a fast video are near-duplicates; what a strategy spends on them it could have spent elsewhere.

    Args:
        ids: numbers of the chosen frames, shape (chosen,)
        gap: distance up to which a frame is close, frames

    Returns:
        In [0, 1]; NaN where nothing was chosen.
    """
    if not len(ids):
        return float("nan")
    close = np.diff(np.sort(ids)) <= gap
    return float((np.append(close, False) | np.append(False, close)).mean())


def rank_correlation(scores: np.ndarray, errors: np.ndarray) -> float:
    """Return Spearman's rank correlation of a strategy's scores with the errors they should foretell.

    Frames without a score (NaN) or without an error are left out. A score of -inf, with which a rule for missing joints
    ranks a frame last, is the lowest rank: that such a rule hides the worst frames shows here.

    Args:
        scores: how much each frame seemed worth labelling, shape (frames,)
        errors: how wrong the student was there, px, shape (frames,)

    Returns:
        In [-1, 1]; NaN for fewer than three frames, or where all scores or all errors are equal.
    """
    both = ~np.isnan(scores) & np.isfinite(errors)
    scores, errors = scores[both], errors[both]
    if len(scores) < 3 or len(np.unique(scores)) == 1 or np.ptp(errors) == 0:
        return float("nan")
    # Ranks first: spearmanr itself would call an infinite score a NaN.
    return float(spearmanr(rankdata(scores), errors).statistic)


def backward_transfer(prequential: np.ndarray, final: np.ndarray) -> float:
    """Return how much better the final student is on the stream than the student that met it, px.

    The mean over frames of the prequential error (before any training that could have seen the frame) less the error of
    the final weights on the same frame: positive where the student ends up better on what it has seen, negative where
    it has forgotten more than it learnt. Not the backward transfer of Lopez-Paz and Ranzato, "Gradient episodic memory"
    (2017): that starts from the accuracy on a task *after* learning it, so that it shows forgetting alone, and averages
    over tasks with known borders; this starts *before* learning and averages over frames.

    Args:
        prequential: error of each frame when it was met, px, shape (frames,)
        final: error of the final student on the same frames, px, shape (frames,)

    Returns:
        px; NaN where no frame has both errors.
    """
    gain = prequential - final
    gain = gain[~np.isnan(gain)]
    return float(gain.mean()) if len(gain) else float("nan")


class _Means:
    """Mean errors between frame numbers, from running sums."""

    def __init__(self, frame_ids: np.ndarray, errors: np.ndarray) -> None:
        counted = ~np.isnan(errors)
        self._ids = frame_ids
        self._sums = np.append(0.0, np.cumsum(np.where(counted, errors, 0.0), dtype=np.float64))
        self._counts = np.append(0, np.cumsum(counted))

    def between(self, first: np.ndarray | int, stop: np.ndarray | int) -> np.ndarray:
        """Mean error of the frames from ``first`` to before ``stop``, px; NaN where none counts."""
        a, b = np.searchsorted(self._ids, first), np.searchsorted(self._ids, stop)
        count = self._counts[b] - self._counts[a]
        return np.where(count > 0, (self._sums[b] - self._sums[a]) / np.maximum(count, 1), np.nan)
