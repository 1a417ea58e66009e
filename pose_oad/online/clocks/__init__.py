"""When a window's training is done, in the time of the stream.

- ``base``: the contract
- ``instant``: at once
"""

from pose_oad.online.clocks.base import Clock, Work
from pose_oad.online.clocks.instant import InstantClock

__all__ = ["Clock", "InstantClock", "Work"]
