"""Versions of the student's weights, and the contract of what may refuse one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pose_oad.online.stage import Stage
from pose_oad.students import PoseStudent

#: Returns a network's loss on labels that were held back; None where there are none.
Judge = Callable[[PoseStudent], float | None]


class Span(NamedTuple):
    """Frames that one version predicts.

    Attributes:
        start: position of the first in the window
        stop: position after the last
        student: the network, with that version's weights until the next span is asked for
    """

    start: int
    stop: int
    student: PoseStudent


@dataclass(frozen=True)
class _Version:
    ready_s: float
    weights: dict[str, Tensor]
    foreground: float


class Weights(Stage):
    """Serve the newest version that is ready: a copy, which training does not touch.

    One that refuses versions overrides :meth:`accepts`.
    """

    def __init__(self) -> None:
        self._student: PoseStudent | None = None
        self._trained: PoseStudent | None = None
        self._pending: list[_Version] = []

    @property
    def student(self) -> PoseStudent:
        """The network that predicts, with the weights that served last.

        Raises:
            RuntimeError: before :meth:`started`.
        """
        if self._student is None:
            raise RuntimeError("the run has not begun")
        return self._student

    def started(self, student: PoseStudent) -> None:
        """Serve the student as it is before the stream."""
        self._student, self._trained = copy.deepcopy(student).requires_grad_(False).eval(), student

    def accepts(self, candidate: PoseStudent, judge: Judge) -> bool:
        """Return whether a version may serve; every one may.

        Args:
            candidate: the network with its weights
            judge: see :data:`Judge`
        """
        return True

    def publish(
        self, candidate: PoseStudent, ready_s: float, judge: Judge = lambda network: None, now: float = -np.inf
    ) -> bool:
        """Keep a version, to serve from some time on.

        Args:
            candidate: the network with its weights
            ready_s: time of the stream from which it can serve, s, no earlier than that of the version before
            judge: says how good a network is
            now: time of the stream up to which every frame has been predicted, s: what is ready then serves at once

        Returns:
            Whether it was accepted.
        """
        if not self.accepts(candidate, judge):
            return False
        weights = {name: value.detach().clone() for name, value in candidate.state_dict().items()}
        self._pending.append(_Version(ready_s, weights, candidate.foreground))
        self._take(now)
        return True

    def at(self, arrivals: np.ndarray) -> Iterator[Span]:
        """Yield which network predicts which frames of a window.

        Args:
            arrivals: time from which on each frame exists, s, ascending, shape (frames,)
        """
        start = 0
        while start < len(arrivals):
            self._take(float(arrivals[start]))
            later = self._pending[0].ready_s if self._pending else np.inf
            stop = int(np.searchsorted(arrivals, later))
            yield Span(start, stop, self.student)
            start = stop

    def latest(self) -> dict[str, Tensor]:
        """Return the weights of the newest version, ready or not."""
        return self._pending[-1].weights if self._pending else self.student.state_dict()

    def newest(self) -> PoseStudent:
        """Return the network with the newest version, ready or not: the one that the stream leaves behind."""
        self._take(np.inf)
        return self.student

    def _take(self, now: float) -> None:
        """Serve the newest version that is ready."""
        ready = [version for version in self._pending if version.ready_s <= now]
        if ready:
            self.student.load_state_dict(ready[-1].weights)
            self.student.trained_with(ready[-1].foreground)
            self._pending = self._pending[len(ready) :]

    def state_dict(self) -> dict[str, Any]:
        """Return the versions that serve and that will; None is the training student's own, which is kept anyway."""
        served, trained = self.student.state_dict(), self._trained
        same = trained is not None and trained.foreground == self.student.foreground
        same = same and all(torch.equal(value, served[name]) for name, value in trained.state_dict().items())  # type: ignore[union-attr]
        version = _Version(0.0, served, self.student.foreground)
        return {"served": None if same else vars(version), "pending": [vars(version) for version in self._pending]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned, when the student that trains has gone on from its own."""
        self._pending = [_Version(**version) for version in state["pending"]]
        served = state["served"]
        if served is None and self._trained is not None:
            served = {"weights": self._trained.state_dict(), "foreground": self._trained.foreground}
        self.student.load_state_dict(served["weights"])
        self.student.trained_with(served["foreground"])
