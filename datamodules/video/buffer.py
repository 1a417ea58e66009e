"""A bounded buffer between a camera, which waits for nobody, and a reader: the oldest frames make room."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestBuffer(Generic[T]):
    """Hold the latest items; when it is full, the oldest are dropped and counted.

    Args:
        capacity: how many items it holds at most
        group: so many are dropped at a time, so that the places of the others keep their remainder by this number
            (one frame in so many carries a picture for the teacher); no more than the capacity

    Attributes:
        dropped: items dropped so far
    """

    def __init__(self, capacity: int, group: int = 1) -> None:
        self.capacity, self.group = max(capacity, group), group
        self.dropped = 0
        self._items: deque[T] = deque()
        self._dropped_before_next = 0
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Add an item, at once; items that come after :meth:`close` are forgotten."""
        with self._changed:
            if self._closed:
                return
            if len(self._items) == self.capacity:
                for _ in range(self.group):
                    self._items.popleft()
                self.dropped += self.group
                self._dropped_before_next += self.group
            self._items.append(item)
            self._changed.notify()

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing will follow, or raise an error for whoever takes behind the last item."""
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
            self._changed.notify_all()

    def take(self, patience: float | None = None) -> tuple[T, int] | None:
        """Wait for the oldest item, for so many s (None: as long as it takes).

        Returns:
            The item and how many were dropped before it since the last one taken; None when nothing will follow.

        Raises:
            TimeoutError: if nothing has come.
            BaseException: what the buffer was closed with.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, patience):
                raise TimeoutError
            if self._items:
                dropped, self._dropped_before_next = self._dropped_before_next, 0
                return self._items.popleft(), dropped
            if self._error is not None:
                raise self._error
            return None
