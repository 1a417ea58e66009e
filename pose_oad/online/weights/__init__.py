"""Which weights predict, and from when on.

- ``base``: versions, each with the time from which it serves
"""

from pose_oad.online.weights.base import Span, Weights

__all__ = ["Span", "Weights"]
