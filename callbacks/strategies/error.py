"""Error-based querying: the frames in which student and teacher disagree most."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from callbacks.strategies.base import QueryStrategy, Scorer
from pose_oad.errors import check
from pose_oad.window import SelectionView

MissingScore = Literal["zero", "worst"]


def check_missing(missing: str) -> MissingScore:
    """Return the rule for missing joints in scores, or refuse it.

    Raises:
        UserError: unless it is ``zero`` or ``worst``.
    """
    check(missing in ("zero", "worst"), "strategy.missing", missing, "zero or worst")
    return missing  # type: ignore[return-value]


class Error(QueryStrategy):
    """Choose the frames of largest student-teacher distance (mean over joints, px).

    It needs the teacher's word on every candidate, and every one of them is counted as a teacher call.

    Args:
        rate: as in :class:`QueryStrategy`
        seed: as in :class:`QueryStrategy`
        scorer: as in :class:`QueryStrategy`
        min_gap: as in :class:`QueryStrategy`
        missing: what a joint that the teacher has and the student has not counts: ``zero`` is the paper's rule (no
            error; a frame in which the student finds nothing ranks last), ``worst`` the diagonal of the frame
        threshold: confidence from which a joint of the student counts as found

    Raises:
        UserError: if a value is out of range.
    """

    needs_predictions = True

    def __init__(
        self,
        rate: float = 0.1,
        seed: int = 0,
        scorer: Scorer = "frozen",
        min_gap: int = 1,
        missing: MissingScore = "zero",
        threshold: float = 0.1,
    ) -> None:
        super().__init__(rate, seed, scorer, min_gap)
        self.missing, self.threshold = check_missing(missing), threshold

    def score(self, view: SelectionView) -> np.ndarray:
        """Return each candidate's student-teacher distance, px; frames without a teacher's person score 0."""
        scores = np.zeros(len(view))
        teacher = view.teacher_keypoints(view.candidates)
        student = view.predictions[torch.from_numpy(view.candidates)]
        labelled = teacher[..., 2] > 0
        found = labelled & (student[..., 2] >= self.threshold)
        distance = torch.linalg.vector_norm(student[..., :2] - teacher[..., :2], dim=-1)
        distance = torch.where(found, distance, 0.0 if self.missing == "zero" else view.frame_diagonal) * labelled
        mean = distance.sum(1) / labelled.sum(1).clamp_min(1)
        if self.missing == "zero":
            mean = torch.where(found.any(1), mean, -torch.inf)
        scores[view.candidates] = mean.numpy()
        return scores
