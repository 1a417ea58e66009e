"""What errors and a selection say about a stream: means of its parts, changes of clip, redundancy, rank correlation.

Pure functions on arrays. Frames are numbered as in the stream; errors are px; a NaN is a frame in which nothing counted
and is left out.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata, spearmanr


def joint_mean(errors: np.ndarray, joints: np.ndarray) -> float:
    """Average the errors of frames over all of their joints, as an MPJPE is: a frame weighs as its counted joints.

    Args:
        errors: mean error of each frame's counted joints, px, shape (frames,); NaN where none counts
        joints: how many joints count in each frame, shape (frames,)
    """
    total = joints.sum()
    return float(np.where(joints > 0, errors, 0.0) @ joints / total) if total else float("nan")


def stream_means(ids: np.ndarray, errors: np.ndarray, joints: np.ndarray) -> dict[str, float]:
    """Average errors, as :func:`joint_mean`, over a whole stream, over its second half and over its last third.

    Returns:
        Means by the part's suffix in logged names: ``""``, ``_second_half``, ``_last_third``.
    """
    begins = stream_parts(ids)
    return {part: joint_mean(errors[ids >= begin], joints[ids >= begin]) for part, begin in begins.items()}


def stream_parts(ids: np.ndarray) -> dict[str, float]:
    """Return the frame numbers at which the parts of :func:`stream_means` begin, by their suffix."""
    end = ids[-1] + 1 if len(ids) else 0
    return {"": 0.0, "_second_half": end / 2, "_last_third": end * 2 / 3}


def spans_at_changes(ids: np.ndarray, changes: np.ndarray, span: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find the measured frames right before and right after each change of clip.

    Args:
        ids: numbers of the measured frames, ascending, shape (frames,)
        changes: numbers of the first frames of clips, ascending, without the stream's first, shape (changes,)
        span: how many frames of the stream to look back and ahead, less where a clip is shorter

    Returns:
        For each change the masks of the frames before and after it, bool, shape (frames,) each.
    """
    limits = [-np.inf, *changes, np.inf]
    return [
        (
            (ids >= max(previous, change - span)) & (ids < change),
            (ids >= change) & (ids < min(following, change + span)),
        )
        for previous, change, following in zip(limits, changes, limits[2:], strict=False)
    ]


def redundancy(ids: np.ndarray, gap: int) -> float:
    """Return the share of chosen frames that have another chosen frame at most ``gap`` frames away; NaN for none.

    Neighbours in a fast video are near-duplicates; what a strategy spends on them it could have spent elsewhere.
    """
    if not len(ids):
        return float("nan")
    close = np.diff(np.sort(ids)) <= gap
    return float((np.append(close, False) | np.append(False, close)).mean())


def rank_correlation(scores: np.ndarray, errors: np.ndarray) -> float:
    """Return Spearman's rank correlation of a strategy's scores with the errors (px) they should foretell.

    Frames without a score (NaN) or without an error are left out. A score of -inf, with which a rule for missing joints
    ranks a frame last, is the lowest rank: that such a rule hides the worst frames shows here. NaN for fewer than three
    frames, or where all scores or all errors are equal.
    """
    both = ~np.isnan(scores) & np.isfinite(errors)
    scores, errors = scores[both], errors[both]
    if len(scores) < 3 or len(np.unique(scores)) == 1 or np.ptp(errors) == 0:
        return float("nan")
    # Ranks first: spearmanr itself would call an infinite score a NaN.
    return float(spearmanr(rankdata(scores), errors).statistic)
