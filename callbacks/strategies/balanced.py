"""What the teacher is surest of, a share for each joint or kind of pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from callbacks.strategies.base import QueryStrategy, Scorer
from callbacks.strategies.geometry import pose_points
from callbacks.strategies.typical import clusters_of
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Count


@dataclass(eq=False, repr=False)
class BalancedTopK(QueryStrategy):
    """Choose, for one group after another, the frame of which the teacher is surest.

    It needs the teacher's word on every candidate, and every one of them is counted as a teacher call.

    Source: Yalniz et al., arXiv 1905.00546, with joints or poses for classes.

    Args:
        of: groups are the ``joints``, or ``clusters`` of the teacher's poses
        clusters: how many
    """

    scorer: Scorer = "live"
    of: Literal["joints", "clusters"] = "joints"
    clusters: Count = 8

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose for each group in turn."""
        labels, spacing = view.teacher_keypoints(view.candidates), self.spacing(view)
        sure = labels[..., 2].numpy()
        if self.of == "clusters":
            poses = pose_points(labels, view.skeleton, 0)
            found = np.where(poses.seen, clusters_of(poses, self.clusters, view.rng), -1)
            sure = np.where(found[:, None] == np.unique(found[found >= 0]), sure.mean(1)[:, None], -1)
        sure = sure + 1e-6 * view.rng.random((len(sure), 1))
        groups = max(1, sure.shape[1])
        sure = sure if sure.shape[1] else np.zeros((len(labels), 1))
        return view.candidates[[spacing.take_best(sure[:, step % groups]) for step in range(view.budget)]]
