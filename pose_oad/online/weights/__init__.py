"""Which weights predict, and from when on.

- ``base``: versions, each with the time from which it serves
- ``gated``: a version that does worse on labels held back is refused
"""

from pose_oad.online.weights.base import Judge, Span, Weights
from pose_oad.online.weights.gated import GatedWeights

__all__ = ["GatedWeights", "Judge", "Span", "Weights"]
