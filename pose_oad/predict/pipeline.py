"""Decode, work and write at the same time, each at most one batch ahead of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from pose_oad.tracking.ahead import one_ahead

T = TypeVar("T")
U = TypeVar("U")


def run(batches: Iterator[T], work: Callable[[T], U], write: Callable[[U], None], stoppable: bool = False) -> None:
    """Take batches through work and writing, in order; where ``stoppable``, an interrupt is an end like any other.

    Batches come from one thread, are worked on in the caller's and written in another, so that three are in memory at
    once. An error anywhere ends all of it and is raised here.
    """
    with closing(one_ahead(batches)) as upcoming, ThreadPoolExecutor(1, "write") as writer:
        written = writer.submit(lambda: None)
        try:
            for batch in upcoming:
                result = work(batch)
                written.result()
                written = writer.submit(write, result)
                del batch, result  # freed as soon as they are written
        except KeyboardInterrupt:
            if not stoppable:
                raise
        written.result()
