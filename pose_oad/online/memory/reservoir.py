"""A uniform sample of all labelled frames so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.memory.fifo import Fifo


@dataclass(eq=False, repr=False)
class Reservoir(Fifo):
    """Keep every frame so far as likely as any other: each draws a number, the largest stay (Vitter's algorithm).

    Args:
        seed: seed of the numbers
    """

    seed: int = 0

    def mark(self, batch: LabelledBatch) -> Tensor:
        """Draw a number for each frame."""
        rng = np.random.default_rng([self.seed, self.seen])
        return torch.from_numpy(rng.random(len(batch)))

    def survivors(self, marks: Tensor, limit: int) -> Tensor:
        """Choose the frames of the largest numbers."""
        return marks.topk(limit).indices.sort().values
