"""When, and how much, to learn: how many labels and steps a window gets.

- ``base``: the contract
- ``always``: the same share of every window's frames
"""

from pose_oad.online.triggers.always import Always
from pose_oad.online.triggers.base import Outcome, Plan, Trigger, WindowStats

__all__ = ["Always", "Outcome", "Plan", "Trigger", "WindowStats"]
