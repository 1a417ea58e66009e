"""L2-SP (arXiv 1802.01483): near the weights before the stream."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.regularisers.base import Regulariser
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import NotNegative


class L2Sp(Regulariser):
    """Add the squared distance to the weights before the stream, times a strength; it looks at no frames.

    Args:
        strength: of the penalty
    """

    def __init__(self, strength: NotNegative) -> None:
        self.strength = strength
        self._start = torch.empty(0)

    def started(self, student: PoseStudent) -> None:
        """Keep the weights."""
        self._start = weights(student).detach()

    def penalty(self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None) -> Tensor:
        """Return the penalty."""
        now = weights(student)
        self._start = self._start.to(now.device)
        return self.strength * (now - self._start).square().sum()


def weights(student: PoseStudent) -> Tensor:
    """Return all weights of a student one after another, shape (weights,); gradients flow back through them."""
    return torch.cat([parameter.reshape(-1) for parameter in student.parameters()])
