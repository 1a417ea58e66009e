"""The clock on the wall: new weights are ready when they are."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pose_oad.online.clocks import Charge, MeasuredClock, Work
from pose_oad.tracking.schema import Positive


@dataclass(eq=False, repr=False, kw_only=True)
class ServiceClock(MeasuredClock):
    """Have new weights serve from the frame on that is filmed now, in the time of the adapter's stream.

    Frames that the adapter was not given have no place in that stream. No window is dropped here: a server hands over
    no more frames than the adapter reads.

    Args:
        waiting_s: age of the oldest frame that a server keeps for an adapter which does not read, s

    Attributes:
        newest: tells number and time of the newest frame of the stream, by the machine's monotonic clock, s;
            None: nobody knows
        rate: frames of the stream per second
        clock: time, s
    """

    waiting_s: Positive = 1.0
    newest: Callable[[], tuple[int, float] | None] | None = field(default=None, init=False)
    rate: float = field(default=1.0, init=False)
    clock: Callable[[], float] = field(default=time.monotonic, init=False)

    def admits(self, opened_s: float, closed_s: float) -> bool:
        """Return True."""
        return True

    def charge(self, work: Work) -> Charge:
        """Return when a window's work was done, which is now."""
        parts, newest = dict(self.parts(work)), self.newest and self.newest()
        ready_s = work.closed_s + sum(parts.values())
        if newest is not None:
            frame, taken_s = newest
            ready_s = frame / self.rate + min(self.clock() - taken_s, self.waiting_s)
        self.windows += 1
        self.free_s = max(self.free_s, work.closed_s, ready_s)
        return Charge(self.free_s, self.free_s - sum(parts.values()), parts)
