"""Steps that follow evidence: some labels are held back, and training goes on only while they are learnt too."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.memory import Fifo
from pose_oad.online.stage import Stage

# Labels held back are measured again and again: the newest are enough.
_HELD = 64


class HeldOut(Stage):
    """Labels of this and earlier windows that are never trained on.

    Args:
        share: of the labels that show somebody, in [0, 1)
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.labels = 0  # that show somebody, so far
        self.earlier = Fifo(frames=_HELD, empty_share=0.0)

    def split(self, batch: LabelledBatch) -> tuple[LabelledBatch, LabelledBatch | None]:
        """Divide the labels of a window.

        Returns:
            what may be trained on, at least one that shows somebody; what is held back of it, if anything.
        """
        people = (~batch.empty).nonzero()[:, 0]
        numbers = torch.arange(len(people), dtype=torch.float64) + self.labels
        rows = people[((numbers + 1) * self.share + 1e-9).floor() > (numbers * self.share + 1e-9).floor()]
        rows = rows[: len(people) - 1]
        if not len(rows):
            return batch, None
        kept = torch.ones(len(batch), dtype=torch.bool)
        kept[rows] = False
        return batch.take(kept), batch.take(rows)

    def keep(self, batch: LabelledBatch) -> LabelledBatch:
        """Take a window's labels in whose training was sound; return those that may be trained on."""
        trained, held = self.split(batch)
        self.labels += int((~batch.empty).sum())
        if held is not None:
            self.earlier.add(held)
        return trained

    def state_dict(self) -> dict[str, Any]:
        """Return the labels held back."""
        return {"labels": self.labels, "earlier": self.earlier.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        self.labels = state["labels"]
        self.earlier.load_state_dict(state["earlier"])


class Watch:
    """Measure while a window is trained on, and remember when it was best.

    Args:
        measure: returns the loss of what is held back
        parts: what has weights, to be brought back
        every: steps between two measurements
        patience: measurements without a smaller loss after which it is time to stop

    Attributes:
        best_step: after how many steps the loss was smallest; 0: before the first
    """

    def __init__(self, measure: Callable[[], float], parts: list[Any], every: int, patience: int) -> None:
        self.measure, self.parts, self.every, self.patience = measure, parts, every, patience
        self.best_step, self._best, self._worse = 0, math.inf, 0
        self._weights: list[Any] = []
        self._look(0)

    def enough(self, step: int) -> bool:
        """Measure if it is time; return whether to stop.

        Args:
            step: steps so far
        """
        if step % self.every == 0:
            self._look(step)
        return self._worse >= self.patience

    def go_back(self, step: int) -> int:
        """Bring the best weights back.

        Args:
            step: steps so far

        Returns:
            how many of them are undone.
        """
        if step % self.every:
            self._look(step)
        if step > self.best_step:
            for part, weights in zip(self.parts, self._weights, strict=True):
                part.load_state_dict(weights)
        return step - self.best_step

    def _look(self, step: int) -> None:
        loss = self.measure()
        if loss < self._best or not self._weights:
            self.best_step, self._best, self._worse = step, loss, 0
            self._weights = [copy.deepcopy(part.state_dict()) for part in self.parts]
        else:
            self._worse += 1
