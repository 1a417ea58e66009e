"""Train on a window, or leave the student as it was."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.learner import Learner, Optimise
from pose_oad.students.divergence import is_sound

_LOG = logging.getLogger(__name__)


class Optimiser(Optimise, Protocol):
    """What makes the steps, and can go back behind them."""

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers of its steps."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        ...

    def forget(self) -> None:
        """Forget all steps."""
        ...


@dataclass(frozen=True)
class Training:
    """What became of a window's training.

    Attributes:
        steps: optimiser steps that were made
        loss: mean loss of the steps; NaN without any
        rejected: whether it diverged, so that the weights before it are kept
        counts: what else happened, in whole numbers by name
    """

    steps: int = 0
    loss: float = float("nan")
    rejected: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def made(self) -> bool:
        """Whether the weights are other ones now."""
        return self.steps > 0 and not self.rejected


def train(
    learner: Learner,
    batch: LabelledBatch,
    window_index: int,
    optimise: Optimiser,
    stream: Tensor | None = None,
    steps: int | None = None,
) -> Training:
    """Train on a window's labelled frames, and keep them; what diverges is undone and forgotten.

    Args:
        learner: the stage that learns
        batch: the new frames, 1 or more
        window_index: number of the window
        optimise: makes a step of a loss
        stream: all frames of the window, for stages that learn without labels; None: they see none
        steps: how many are made; None: as the learner's options say
    """
    if learner.options.optimizer_state == "fresh":
        optimise.forget()
    student = learner.student
    before = copy.deepcopy((student.state_dict(), optimise.state_dict()))
    stages = learner.before_window()
    learnt = learner.learn(batch, window_index, optimise, stream, steps)
    student.eval()
    with torch.no_grad():
        maps = student(student.normalise(batch.frames[:1]))
    # The wait for the device: once a window, so that its time is training's.
    sound = is_sound(student, learnt.loss, *maps)
    if sound:
        learner.keep(batch)
    else:
        student.load_state_dict(before[0])
        optimise.load_state_dict(before[1])
        learner.undo(stages)
        _LOG.warning(
            "window %d: training diverged (loss or weights are not finite): the weights before it are kept",
            window_index,
        )
    counts = dict(learnt.counts) | ({"steps_undone": learnt.undone} if learnt.undone else {})
    return Training(learnt.steps, float(learnt.loss) / max(1, learnt.steps), not sound, counts)
