"""Frames on which the student is sure, and which differ: what a fallible teacher is probably right about too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from callbacks.strategies.base import Scorer, Spacing, top_k
from callbacks.strategies.embedded import By, Embedded
from callbacks.strategies.geometry import farthest_first, nearest
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Count


@dataclass(eq=False, repr=False)
class TopConfidence(Embedded):
    """Take the frames of highest mean confidence, several times as many as wanted, and of these those far apart.

    Source: SBAD and D-SBAD, arXiv 2509.20484, with farthest-first out of twice as many.

    Args:
        times: how many times as many are taken
    """

    by: By = "pose"
    scorer: Scorer = "live"
    times: Count = 2

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose among the surest."""
        confidence = view.predictions[view.candidates, :, 2].mean(1).numpy()
        spacing = self.spacing(view)
        sure = min(self.times * view.budget, len(confidence))
        surest = top_k(confidence, Spacing(view.candidates, sure, self.min_gap), view.rng)
        everything = self.points(view)
        points = everything.take(view.candidates)
        near = nearest(points, self.labelled(view, everything))
        near[np.setdiff1d(np.arange(len(near)), surest)] = -1  # those that are less sure fill up what is left
        return view.candidates[farthest_first(points, near, spacing)]
