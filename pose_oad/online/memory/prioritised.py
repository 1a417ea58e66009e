"""Replay by loss: what is known badly comes again more often, and stays longer (Schaul et al., arXiv 1511.05952)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.memory.base import ReplayContext
from pose_oad.online.memory.fifo import Fifo
from pose_oad.tracking.schema import NotNegative

_SMALLEST = 1e-8  # of a loss, so that no frame is out of the question


@dataclass(eq=False, repr=False)
class Prioritised(Fifo):
    """Replay with a likelihood of loss to a power, evict with one of its inverse; a loss is as of the last step on it.

    Args:
        alpha: the power; 0 replays and evicts alike
        seed: seed of what is evicted
    """

    alpha: NotNegative = 0.5
    seed: int = 0
    needs_losses = True
    _losses: dict[int, float] = field(default_factory=dict, init=False)  # of the present window's steps

    def opened(self, context: ReplayContext) -> None:
        """Forget what a window that was undone has left."""
        self._losses = {}

    def stepped(self, frame_ids: Tensor, losses: Tensor) -> None:
        """Note losses."""
        self._losses |= dict(zip(frame_ids.tolist(), losses.tolist(), strict=True))

    def add(self, batch: LabelledBatch) -> None:
        """Take the batch in, and the losses of its window."""
        if self.kept is not None:
            pairs = zip(self.kept.frame_ids.tolist(), self.marks.tolist(), strict=True)
            self.marks = torch.tensor([self._losses.get(frame, mark) for frame, mark in pairs], dtype=torch.float64)
        super().add(batch)

    def mark(self, batch: LabelledBatch) -> Tensor:
        """Return the losses of new frames; the largest known for one that was not trained on."""
        largest = max([*self._losses.values(), *self.marks.tolist()], default=1.0)
        return torch.tensor([self._losses.get(frame, largest) for frame in batch.frame_ids.tolist()]).double()

    def survivors(self, marks: Tensor, limit: int) -> Tensor:
        """Draw who stays, without replacement (Efraimidis and Spirakis: the largest u to the power of 1 / weight)."""
        rng = np.random.default_rng([self.seed, self.seen])
        keys = np.log(rng.random(len(marks))) / self._likely(marks)
        return torch.from_numpy(np.sort(np.argsort(keys)[-limit:]))

    def weights(self) -> np.ndarray:
        """Return losses to the power."""
        return self._likely(self.marks)

    def _likely(self, losses: Tensor) -> np.ndarray:
        return losses.clamp(min=_SMALLEST).pow(self.alpha).numpy()
