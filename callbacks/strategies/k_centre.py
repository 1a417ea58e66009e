"""The frames that are farthest from everything labelled: diversity, with or without uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from callbacks.strategies.base import Scorer
from callbacks.strategies.embedded import By, Embedded
from callbacks.strategies.geometry import farthest_first, nearest
from callbacks.strategies.outcome import LastChoice
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import NotNegative


@dataclass(eq=False, repr=False)
class KCentre(Embedded):
    """Choose, one after another, the frame farthest from all labelled and chosen so far (k-centre greedy).

    Source: core-set selection, Sener & Savarese, arXiv 1708.00489.
    """

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose the frames that lie apart."""
        everything = self.points(view)
        points = everything.take(view.candidates)
        near = nearest(points, self.labelled(view, everything))
        return view.candidates[farthest_first(points, near, self.spacing(view))]


@dataclass(eq=False, repr=False)
class KCentreUncertainty(Embedded):
    """Choose as k-centre while the student is poor, and the rather by uncertainty the better it is.

    The largest (1 - m) d + weight m u is chosen: d the distance to everything labelled, u one less the mean confidence,
    m the mean similarity (OKS) of student and teacher on the frames labelled in the window before, 0 at first.

    Source: DUW of VATL4Pose, arXiv 2311.05041.

    Args:
        weight: of the uncertainty
    """

    by: By = "pose"
    scorer: Scorer = "live"
    weight: NotNegative = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self._last = LastChoice()

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose by distance and uncertainty."""
        everything = self.points(view)
        points = everything.take(view.candidates)
        near = nearest(points, self.labelled(view, everything))
        unsure = 1 - view.predictions[view.candidates, :, 2].mean(1).numpy()
        skill = float(self._last.similarity(view.history, view.skeleton).nanmean().nan_to_num())

        def score(near: np.ndarray) -> np.ndarray:
            return (1 - skill) * near + self.weight * skill * unsure

        return view.candidates[farthest_first(points, near, self.spacing(view), score)]

    def remember(self, view: SelectionView, positions: np.ndarray) -> None:
        """Keep what is predicted of the frames chosen."""
        super().remember(view, positions)
        self._last.ids, self._last.poses = view.ids[positions], view.predictions[positions]

    def state_dict(self) -> dict[str, Any]:
        """Return what was predicted of the last frames chosen."""
        return super().state_dict() | {"last": self._last.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        super().load_state_dict(state_dict)
        self._last.load_state_dict(state_dict["last"])
