"""The two ends of every comparison: the student that never learns, and the one that is told everything."""

from __future__ import annotations

import numpy as np

from callbacks.strategies.base import QueryStrategy
from pose_oad.window import SelectionView


class Everything(QueryStrategy):
    """Choose every candidate, whatever the rate: the upper reference."""

    name = "all"

    def budget(self, frames: int) -> int:
        """Return the whole window."""
        return frames

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose every candidate."""
        return view.candidates


class Nothing(QueryStrategy):
    """Choose no frame: the student as it was pre-trained, the lower reference."""

    name = "none"

    def budget(self, frames: int) -> int:
        """Return 0."""
        return 0
