"""Averages of weights: which weights predict, of those that training passes through, and where windows begin.

Adding one: a subclass of :class:`WeightAverage` in a file here, a file ``conf/average/<name>.yaml`` that names it, a
test on weights of one number.
"""

from __future__ import annotations

from pose_oad.online.averaging.base import LatestWeights, WeightAverage
from pose_oad.online.averaging.ema import Ema
from pose_oad.online.averaging.soft_reset import SoftReset

__all__ = ["Ema", "LatestWeights", "SoftReset", "WeightAverage"]
