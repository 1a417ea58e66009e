"""The clock on the wall: new weights are ready when they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pose_oad.online.clocks import Charge, MeasuredClock, Work


@dataclass(eq=False, repr=False, kw_only=True)
class ServiceClock(MeasuredClock):
    """Charge what a window has really taken since its last frame was filmed, waiting included.

    No window is dropped here: a server hands over no more frames than the adapter reads.

    Attributes:
        arrived: tells when a frame of the stream was filmed, by the machine's monotonic clock, s; None: nobody knows
        rate: frames of the stream per second
        clock: time, s
    """

    arrived: Callable[[int], float | None] = field(default=lambda frame: None, init=False)
    rate: float = field(default=1.0, init=False)
    clock: Callable[[], float] = field(default=time.monotonic, init=False)

    def admits(self, opened_s: float, closed_s: float) -> bool:
        """Return True."""
        return True

    def charge(self, work: Work) -> Charge:
        """Return when a window's work was done, which is now."""
        parts = dict(self.parts(work))
        taken = self.arrived(round(work.closed_s * self.rate) - 1)
        since = sum(parts.values()) if taken is None else self.clock() - taken - 1 / self.rate
        self.windows += 1
        self.free_s = max(self.free_s, work.closed_s + since)
        return Charge(self.free_s, self.free_s - sum(parts.values()), parts)
