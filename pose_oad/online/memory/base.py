"""The contract of a memory."""

from __future__ import annotations

import numpy as np

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.stage import Stage


class Memory(Stage):
    """Keep labelled frames, and give some of them back."""

    def __len__(self) -> int:
        """Return how many frames there are to replay."""
        raise NotImplementedError

    def add(self, batch: LabelledBatch) -> None:
        """Take in the labelled frames of a window, after it has been trained on."""
        raise NotImplementedError

    def sample(self, n: int, rng: np.random.Generator) -> LabelledBatch:
        """Draw frames to replay.

        Args:
            n: how many, 1 or more; the same frame may come twice
            rng: random numbers of this window

        Raises:
            ValueError: if the memory is empty.
        """
        raise NotImplementedError
