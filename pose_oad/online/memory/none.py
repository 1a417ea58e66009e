"""No memory: a window is trained on its own labels, as in the paper."""

from __future__ import annotations

import numpy as np

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.memory.base import Memory, ReplayContext


class NoMemory(Memory):
    """Keep nothing."""

    def __len__(self) -> int:
        return 0

    def add(self, batch: LabelledBatch) -> None:
        """Forget the batch."""

    def sample(self, n: int, rng: np.random.Generator, context: ReplayContext) -> LabelledBatch:
        """Refuse: there is nothing to replay."""
        raise ValueError("memory: nothing is kept")
