"""When, and how much, to learn: how many labels and steps a window gets.

- ``base``: the contract
- ``always``: the same share of every window's frames
- ``budget``: what is not spent is banked; every so-manieth window
- ``stride``: by how much student and teacher agree, or consecutive labels
- ``keep_up``: as much as there is time for
- ``drift``: by what the student's predictions, or its losses, say
"""

from pose_oad.online.triggers.always import Always
from pose_oad.online.triggers.base import Outcome, Plan, Trigger, WindowStats
from pose_oad.online.triggers.budget import EveryN, TokenBucket
from pose_oad.online.triggers.drift import KolmogorovSmirnov, LossPlateau, PageHinkley, SvdRank
from pose_oad.online.triggers.keep_up import KeepUp
from pose_oad.online.triggers.stride import AmsSamplingRate, AmsTrainingRate, JitnetStride, ShadowTutorStride

__all__ = [
    "Always", "AmsSamplingRate", "AmsTrainingRate", "EveryN", "JitnetStride", "KeepUp", "KolmogorovSmirnov",
    "LossPlateau", "Outcome", "PageHinkley", "Plan", "ShadowTutorStride", "SvdRank", "TokenBucket", "Trigger",
    "WindowStats",
]  # fmt: skip
