"""The contract of a memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.stage import Stage
from pose_oad.students import PoseStudent


@dataclass(frozen=True)
class ReplayContext:
    """What a memory may look at when it chooses what to replay.

    Attributes:
        new: new frames: the window's before its first step, a step's own when frames are drawn for it
        student: the network that trains; it must be left as it is
        loss: training loss of a batch, a scalar with a gradient, batch statistics frozen
        losses: training loss of each frame of a batch without a gradient, shape (frames,), batch statistics frozen
        learning_rate: the optimiser's
    """

    new: LabelledBatch
    student: PoseStudent
    loss: Callable[[LabelledBatch], Tensor]
    losses: Callable[[LabelledBatch], Tensor]
    learning_rate: float


class Memory(Stage):
    """Keep labelled frames, and give some of them back.

    Attributes:
        needs_losses: whether :meth:`stepped` is to be told of losses, which takes time
    """

    needs_losses = False

    def __len__(self) -> int:
        """Return how many frames there are to replay."""
        raise NotImplementedError

    def opened(self, context: ReplayContext) -> None:
        """Look at a window's new frames before its first step."""

    def sample(self, n: int, rng: np.random.Generator, context: ReplayContext) -> LabelledBatch:
        """Draw frames to replay; their origin says so.

        Args:
            n: how many, 1 or more; the same frame may come twice
            rng: random numbers of this window
            context: what may be looked at

        Raises:
            ValueError: if the memory is empty.
        """
        raise NotImplementedError

    def stepped(self, frame_ids: Tensor, losses: Tensor) -> None:
        """Learn how well frames are known, after an optimiser step on them.

        Args:
            frame_ids: numbers of the frames of the step, int64, shape (frames,)
            losses: the loss of each before the step, on the CPU, likewise
        """

    def add(self, batch: LabelledBatch) -> None:
        """Take in the labelled frames of a window whose training was sound."""
        raise NotImplementedError
