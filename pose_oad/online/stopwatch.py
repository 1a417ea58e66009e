"""What a window's time goes to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Wall-clock seconds by phase; those of a phase inside another are its own alone.

    Attributes:
        seconds: by phase, since they were last taken
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = 0.0

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time spent inside the block to a phase."""
        start = time.perf_counter()
        outer, self._inner = self._inner, 0.0
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[phase] += elapsed - self._inner
            self._inner = outer + elapsed

    def take(self) -> dict[str, float]:
        """Return the seconds so far, and begin again at zero."""
        seconds, self.seconds = dict(self.seconds), defaultdict(float)
        return seconds
