"""A trigger that labels and trains as much as there is time for."""

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from pose_oad.online.triggers.base import Outcome, Plan, WindowStats
from pose_oad.online.triggers.budget import TokenBucket, WhenFull
from pose_oad.tracking.schema import Count, NotNegative, Positive


@dataclass(eq=False, repr=False)
class KeepUp(TokenBucket):
    """Set labels and steps so that a window is ready some time before the next one is complete.

    What a window takes is about proportional to its labels and steps: after each, both are multiplied by the time there
    is over the time it took, at most doubled or halved. Labels that there is no time for are lost, not banked.

    Args:
        slack_s: least time between being ready and the next window's end, s
        smallest: least share of ``rate`` and ``steps``, in (0, 1]
        steps: optimiser steps of a window with all its labels; None: as ``training`` says, which with
            ``training.unit=epochs`` grow with the labels
        rate: largest share of the frames that is labelled, in (0, 1]

    Attributes:
        effort: share of both that a window gets
    """

    remembered: ClassVar[tuple[str, ...]] = ("effort", "length_s")

    slack_s: NotNegative = 1.0
    smallest: Annotated[float, Field(gt=0, le=1)] = 0.05
    steps: Count | None = None
    burst: Positive = field(default=1.0, init=False)
    when_full: WhenFull = field(default="lose", init=False)
    effort: float = field(default=1.0, init=False)
    length_s: float = field(default=0.0, init=False)

    def wanted(self, stats: WindowStats) -> float:
        """Return the share of now."""
        self.length_s = stats.closed_s / (stats.index + 1)
        return self.effort

    def plan(self, stats: WindowStats) -> Plan:
        """Give labels and steps by the share of now."""
        plan = super().plan(stats)
        return plan if self.steps is None else plan._replace(steps=max(1, round(self.effort * self.steps)))

    def observe(self, outcome: Outcome) -> None:
        """Set the share by the time that was left."""
        if not math.isnan(outcome.slack_s):
            there, took = max(self.length_s - self.slack_s, 0.0), max(self.length_s - outcome.slack_s, 1e-9)
            self.effort = min(max(self.effort * min(max(there / took, 0.5), 2.0), self.smallest), 1.0)
