"""When a window's training is done, in the time of the stream.

- ``base``: the contract
- ``instant``: at once
- ``charged``: when a trainer has worked it off, by the seconds of this machine or by a device's profile
- ``device``: such a profile
"""

from pose_oad.online.clocks.base import Charge, Clock, Work
from pose_oad.online.clocks.charged import ChargingClock, MeasuredClock, ProfileClock
from pose_oad.online.clocks.device import Device
from pose_oad.online.clocks.instant import InstantClock

__all__ = ["Charge", "ChargingClock", "Clock", "Device", "InstantClock", "MeasuredClock", "ProfileClock", "Work"]
