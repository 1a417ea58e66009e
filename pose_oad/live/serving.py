"""The network that predicts: weights change between two frames, and there is a way back."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque

from torch import Tensor

from pose_oad.live.mailbox import Published
from pose_oad.students import PoseStudent

_KEPT = 5  # versions that one can go back to


class ServingStudent:
    """Serve one version of the weights; the next one is loaded beside it, and takes its place when that is asked for.

    Args:
        student: the network, with the weights before any publication
        published: the version to begin with; None: those

    Attributes:
        version: what is served
        swaps: how often the version has changed
    """

    def __init__(self, student: PoseStudent, published: Published | None = None) -> None:
        self._serving = copy.deepcopy(student).requires_grad_(False).eval()
        self._spare = copy.deepcopy(self._serving)
        first = Published(0, -1, time.time(), student.foreground, _copied(student.state_dict()))
        self.version, self.swaps = published or first, 0
        if published is not None:
            _load(self._serving, published)
        self._loaded: Published | None = None
        self._before: deque[Published] = deque([first] if published else [], maxlen=_KEPT)
        self._lock = threading.Lock()
        self._back: Published | None = None  # was gone back to: what it replaces is not worth going back to

    @property
    def student(self) -> PoseStudent:
        """The network that predicts now."""
        return self._serving

    def offer(self, published: Published) -> None:
        """Load a version, which serves from the next :meth:`swap` on; one that was not yet served is replaced."""
        with self._lock:
            _load(self._spare, published)
            self._loaded = published

    def swap(self) -> bool:
        """Serve the version that was offered last; return whether there was one. It never waits."""
        if self._loaded is None or not self._lock.acquire(blocking=False):
            return False
        try:
            loaded, self._loaded = self._loaded, None
            if loaded is None:
                return False
            self._serving, self._spare = self._spare, self._serving
            if loaded is not self._back:
                self._before.append(self.version)
            self.version = loaded
            self.swaps += 1
            return True
        finally:
            self._lock.release()

    def before(self) -> PoseStudent | None:
        """Take the version that was served before this one out of what is kept; None where there is none."""
        with self._lock:
            if not self._before:
                return None
            version = self._before.pop()
            student = copy.deepcopy(self._spare)
        _load(student, version)
        return student

    def go_back_to(self, student: PoseStudent, generation: int) -> None:
        """Offer a version that :meth:`before` has returned, as a new generation."""
        weights = _copied(student.state_dict())
        self._back = Published(generation, -1, time.time(), student.foreground, weights)
        self.offer(self._back)


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}


def _load(student: PoseStudent, published: Published) -> None:
    student.load_state_dict(dict(published.weights))
    student.trained_with(published.foreground)
