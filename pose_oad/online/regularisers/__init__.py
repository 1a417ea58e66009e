"""Regularisers: what holds a student back from forgetting.

Adding one: a subclass of :class:`Regulariser` in a file here, a file ``conf/regulariser/<name>.yaml`` that names it, a
test of its penalty or of what it leaves of a step.

- ``l2_sp``: near the weights before the stream
- ``importance``: EWC and MAS, the same for each weight as much as it matters
- ``snapshot``: LwF and LFL, near what the student said before the window
- ``partial``: only some weights move
"""

from __future__ import annotations

from pose_oad.online.regularisers.base import NoRegulariser, Regulariser, RegulariserSum, frames_of
from pose_oad.online.regularisers.importance import Ewc, Mas
from pose_oad.online.regularisers.l2_sp import L2Sp
from pose_oad.online.regularisers.partial import BatchNormOnly, CoordinateDescent, LastLayers
from pose_oad.online.regularisers.snapshot import LearningWithoutForgetting, LessForgetting

__all__ = [
    "BatchNormOnly", "CoordinateDescent", "Ewc", "L2Sp", "LastLayers", "LearningWithoutForgetting", "LessForgetting",
    "Mas", "NoRegulariser", "Regulariser", "RegulariserSum", "frames_of",
]  # fmt: skip
