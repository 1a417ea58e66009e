"""Error-based querying: the frames in which student and teacher disagree most."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from callbacks.strategies.base import QueryStrategy, Scorer
from pose_oad.metrics.keypoints import MissingRule, joint_errors
from pose_oad.metrics.people import frame_means, holds_several, people_errors
from pose_oad.online.view import SelectionView
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Count

MissingScore = Literal["zero", "worst"]


def check_missing(missing: str) -> MissingScore:
    """Return the rule for missing joints in scores, or refuse it.

    Raises:
        UserError: unless it is ``zero`` or ``worst``.
    """
    check(missing in ("zero", "worst"), "strategy.undetected_joints", missing, "zero or worst")
    return missing  # type: ignore[return-value]


class Error(QueryStrategy):
    """Choose the frames of largest student-teacher distance (mean over joints, px).

    It needs the teacher's word on every candidate, and every one of them is counted as a teacher call.

    Source: the paper, arXiv 2309.01612.

    Args:
        seed: as in :class:`QueryStrategy`
        scorer: as in :class:`QueryStrategy`
        min_gap: as in :class:`QueryStrategy`
        bins: as in :class:`QueryStrategy`
        undetected_joints: what a joint that the teacher has and the student has not counts: ``zero`` is the paper's
            rule (no error; a frame in which the student finds nothing ranks last), ``worst`` the diagonal of the frame
        threshold: confidence from which a joint of the student counts as found

    Raises:
        UserError: if a value is out of range.
    """

    def __init__(
        self,
        seed: int = 0,
        scorer: Scorer = "frozen",
        min_gap: Count = 1,
        bins: bool = False,
        undetected_joints: MissingScore = "zero",
        threshold: float = 0.1,
    ) -> None:
        super().__init__(seed, scorer, min_gap, bins)
        self.undetected_joints, self.threshold = check_missing(undetected_joints), threshold

    def score(self, view: SelectionView) -> np.ndarray:
        """Return each candidate's student-teacher distance, px; frames without a teacher's person score 0.

        Where the teacher finds several people in one of the candidates, the student's are assembled from its maps and
        matched with them; the score is then the mean over the teacher's people, and all joints of one whom the student
        has not found are missing.
        """
        scores = np.zeros(len(view))
        rule = MissingRule(
            "zero" if self.undetected_joints == "zero" else "penalty", self.threshold, view.frame_diagonal
        )
        everybody = view.teacher_people(view.candidates)
        frame = torch.arange(len(view.candidates))
        if holds_several(everybody):
            matched = people_errors(view.people(view.candidates), everybody, view.skeleton, rule)
            errors, frame = matched.errors, matched.frame
        else:
            student = view.predictions[torch.from_numpy(view.candidates)]
            errors = joint_errors(student, view.teacher_keypoints(view.candidates), rule)
        of_person = errors.distance.sum(1) / errors.labelled.sum(1).clamp_min(1)
        mean = frame_means(of_person, frame, len(view.candidates)).nan_to_num(0.0)
        if self.undetected_joints == "zero":
            seen = torch.zeros(len(mean)).index_add(0, frame, errors.found.any(1).float()) > 0
            mean = torch.where(seen, mean, -torch.inf)
        scores[view.candidates] = mean.numpy()
        return scores
