"""From what a network predicts that was trained with weighed cells to the confidence that a joint is there.

The weighed mean of a cell's targets is smallest in squared error, not their mean: where a joint is in a share p of all
cases and its cells weigh ``1 + foreground`` times the empty ones, a network learns to predict
``(1 + foreground) p / (1 + foreground p)``.
"""

from __future__ import annotations

from torch import Tensor


def weighed(confidence: float, foreground: float) -> float:
    """Return what a network predicts where a joint is with some confidence in [0, 1]."""
    return (1 + foreground) * confidence / (1 + foreground * confidence)


def calibrated(prediction: Tensor, foreground: float) -> Tensor:
    """Return the confidences behind predictions, the inverse of :func:`weighed`; values above 1 and the order stay."""
    if foreground == 0:
        return prediction
    return (prediction / (1 + foreground - foreground * prediction.clamp(max=1))).where(prediction < 1, prediction)
