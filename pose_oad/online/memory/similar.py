"""Replay what resembles the present window (as IWMS does with features, arXiv 2312.00923)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pose_oad.online.memory.base import ReplayContext
from pose_oad.online.memory.embedding import EMBEDDINGS
from pose_oad.online.memory.fifo import Fifo
from pose_oad.tracking.schema import Positive


@dataclass(eq=False, repr=False)
class Similar(Fifo):
    """Keep the newest frames, and replay with a likelihood of exp(cosine to the new frames' mean / temperature).

    Args:
        by: what is compared: ``pose``, ``thumbnail`` or the student's ``features``
        temperature: small ones replay the most similar frames alone
    """

    by: Literal["pose", "thumbnail", "features"] = "features"
    temperature: Positive = 0.1
    _likely: np.ndarray = field(default_factory=lambda: np.empty(0), init=False)

    def opened(self, context: ReplayContext) -> None:
        """Compare the new frames with those kept."""
        if self.kept is None:
            return
        embed = EMBEDDINGS[self.by]
        mean = embed(context.new, context.student).mean(0)
        cosine = embed(self.kept, context.student) @ mean / mean.norm().clamp(min=1e-12)
        self._likely = ((cosine - cosine.max()) / self.temperature).clamp(min=-50).exp().double().numpy()

    def weights(self) -> np.ndarray:
        """Return the likelihoods of the present window."""
        return self._likely if len(self._likely) == len(self) else np.ones(len(self))
