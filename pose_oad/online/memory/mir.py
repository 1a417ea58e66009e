"""Replay what a step on the new frames would harm most (MIR: Aljundi et al., arXiv 1908.04742)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.memory.base import ReplayContext
from pose_oad.online.memory.fifo import Fifo
from pose_oad.tracking.schema import Count


@dataclass(eq=False, repr=False)
class Mir(Fifo):
    """Keep the newest frames; draw candidates, and replay those whose loss a plain gradient step raises most.

    Args:
        candidates: how many are compared in every step
    """

    candidates: Count = 16

    def sample(self, n: int, rng: np.random.Generator, context: ReplayContext) -> LabelledBatch:
        """Draw candidates and return the most interfered with."""
        drawn = self._rows(self._draw(max(n, min(self.candidates, len(self))), rng))
        if len(drawn) == n:
            return drawn
        before = context.losses(drawn)
        weights: list[torch.Tensor] = [weight for weight in context.student.parameters() if weight.requires_grad]
        kept = [weight.detach().clone() for weight in weights]
        gradients = torch.autograd.grad(context.loss(context.new), weights, allow_unused=True)
        try:
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    if gradient is not None:
                        weight.sub_(gradient, alpha=context.learning_rate)
            harm = (context.losses(drawn) - before).cpu()
        finally:
            with torch.no_grad():
                torch._foreach_copy_(weights, kept)
        return drawn.take(harm.topk(n).indices)
