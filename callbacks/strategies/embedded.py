"""What strategies share that compare frames with each other and with those labelled before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from callbacks.strategies.base import QueryStrategy
from callbacks.strategies.geometry import Points, pooled_points, pose_points
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Share

By = Literal["features", "pose", "thumbnail"]

# Labelled frames that are compared with: of a longer stream the latest.
_KEPT = 4096


@dataclass(eq=False, repr=False)
class Embedded(QueryStrategy):
    """Compare frames, and remember those chosen.

    Args:
        by: what is compared: pooled trunk ``features`` (of the frozen student by default, so that those of earlier
            labels stay comparable), the predicted ``pose``, or a ``thumbnail`` of 16 x 16 px
        threshold: confidence from which a joint of a pose is known
    """

    by: By = "features"
    threshold: Share = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._chosen: Points | None = None

    @property
    def costly(self) -> bool:  # type: ignore[override]
        """Whether it takes forward passes of its own: features do, the first time they are read in a window."""
        return self.by == "features"

    def points(self, view: SelectionView) -> Points:
        """Return every frame as a point."""
        if self.by == "pose":
            return pose_points(view.predictions, view.skeleton, self.threshold)
        return pooled_points(view.features if self.by == "features" else view.thumbnails)

    def labelled(self, view: SelectionView, like: Points) -> Points:
        """Return what has been labelled in earlier windows as points; of poses those of the labels."""
        if self.by == "pose" and len(view.history.poses):
            return pose_points(view.history.poses[-_KEPT:], view.skeleton, 0)
        return self._chosen or like.take(slice(0))

    def remember(self, view: SelectionView, positions: np.ndarray) -> None:
        """Keep the points chosen."""
        if self.by != "pose":
            new = self.points(view).take(positions)
            parts = zip(self._chosen or new.take(slice(0)), new, strict=True)
            self._chosen = Points(*(torch.cat(part)[-_KEPT:] for part in parts))

    def state_dict(self) -> dict[str, Any]:
        """Return the points chosen so far."""
        return {"chosen": None if self._chosen is None else self._chosen.values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        values = state_dict["chosen"]
        self._chosen = None if values is None else Points(values, torch.ones_like(values))
