"""The same share of every window."""

from __future__ import annotations

from pose_oad.online.triggers.base import Plan, Trigger, WindowStats
from pose_oad.tracking.errors import check


class Always(Trigger):
    """Label the same share of every window's frames, and train on them, as in the paper.

    Args:
        rate: the share, in (0, 1]; ``int(rate * frames)`` frames are labelled

    Raises:
        UserError: if it is out of range.
    """

    def __init__(self, rate: float = 0.1) -> None:
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        check(number and 0 < rate <= 1, "rate", rate, "a share of the frames in (0, 1]")
        self.rate = float(rate)

    def labels(self, frames: int) -> int:
        """Return how many of so many frames are labelled."""
        # The small term keeps 0.29 * 100 at 29.
        return int(self.rate * frames + 1e-9)

    def plan(self, stats: WindowStats) -> Plan:
        """Give the window its share."""
        return Plan(self.labels(stats.frames))
