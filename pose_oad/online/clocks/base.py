"""The contract of a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pose_oad.online.stage import Stage


@dataclass(frozen=True)
class Work:
    """What a window has asked of the machines.

    Attributes:
        closed_s: time of the stream at which the window was complete, s
        frames: frames predicted
        asked: frames the teacher was asked about
        steps: optimiser steps
        seconds: wall-clock time it took here, by phase, s
    """

    closed_s: float
    frames: int
    asked: int
    steps: int
    seconds: Mapping[str, float]


class Clock(Stage):
    """Charge for work: say at which time of the stream its result is there."""

    def charge(self, work: Work) -> float:
        """Return the time of the stream at which the new weights can serve, s; it never decreases.

        Args:
            work: what a window's training took
        """
        raise NotImplementedError
