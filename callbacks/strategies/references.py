"""What every comparison is read against: the student that never learns, the one told everything, and the oracle."""

from __future__ import annotations

import numpy as np

from callbacks.strategies.base import QueryStrategy
from pose_oad.metrics.keypoints import MissingRule, joint_errors
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Count


class Everything(QueryStrategy):
    """Choose every candidate, whatever the label budget: the upper reference."""

    name = "all"
    reference = True

    def budget(self, planned: int, candidates: int) -> int:
        """Return all that could be labelled."""
        return candidates

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose every candidate."""
        return view.candidates


class Nothing(QueryStrategy):
    """Choose no frame: the student as it was pre-trained, the lower reference."""

    name = "none"
    reference = True

    def budget(self, planned: int, candidates: int) -> int:
        """Return 0."""
        return 0


class Oracle(QueryStrategy):
    """Choose the frames in which the student, as it is now, is really worst: what error-based querying aims at.

    It sees the ground truth and can be used in simulations only. The error is the mean distance over labelled joints,
    each at its most likely location whether found or not, so that neither the teacher's faults nor a rule for missing
    joints comes between the score and the error.

    Args:
        seed: as in :class:`QueryStrategy`
        min_gap: as in :class:`QueryStrategy`
        bins: as in :class:`QueryStrategy`

    Raises:
        UserError: if a value is out of range.
    """

    name = "oracle"
    reference = True
    sees_truth = True

    def __init__(self, seed: int = 0, min_gap: Count = 1, bins: bool = False) -> None:
        super().__init__(seed, "live", min_gap, bins)

    def score(self, view: SelectionView) -> np.ndarray:
        """Return each frame's true error, px; NaN where no joint is labelled."""
        return joint_errors(view.predictions, view.truth, MissingRule("argmax")).per_frame().numpy()
