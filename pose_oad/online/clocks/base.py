"""The contract of a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pose_oad.online.stage import Stage


@dataclass(frozen=True)
class Work:
    """What a window has asked of the machines.

    Attributes:
        opened_s: time of the stream at which the window's first frame arrived, s
        closed_s: time of the stream at which the window was complete, s
        frames: frames predicted
        asked: frames the teacher was asked about
        steps: optimiser steps
        seconds: wall-clock time it took here, by phase, s
    """

    opened_s: float
    closed_s: float
    frames: int
    asked: int
    steps: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Charge:
    """What a window's work takes in the time of the stream.

    Attributes:
        ready_s: when the new weights can serve, s
        started_s: when its work began, s; None: when it was complete
        parts: how long each part takes, s, by name, in their order
        traffic: bytes that are sent, by name: ``up``, ``down``
        joules: energy of labelling and training; NaN where it is not known
    """

    ready_s: float
    started_s: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    traffic: Mapping[str, float] = field(default_factory=dict)
    joules: float = float("nan")


class Clock(Stage):
    """Charge for work: say at which time of the stream its result is there.

    Attributes:
        student_s: how long a frame's prediction takes, s; None: poses are there when the frame is
    """

    student_s: float | None = None

    def admits(self, opened_s: float, closed_s: float) -> bool:
        """Return whether there is time to learn from a window; what is not admitted is dropped, and not charged.

        Args:
            opened_s: time of the stream at which its first frame arrived, s
            closed_s: time at which it was complete, s
        """
        return True

    def charge(self, work: Work) -> Charge:
        """Return what a window's work takes; the time at which it is ready never decreases.

        Args:
            work: what its labels and its training took
        """
        raise NotImplementedError
