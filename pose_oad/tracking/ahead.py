"""Making things in a thread while those before them are used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Run an iterator in a thread, one item (none is None) ahead of its consumer; its errors are raised here."""
    with ThreadPoolExecutor(1, "decode") as decoder:
        upcoming = decoder.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = decoder.submit(next, items, None)
            yield item
            del item  # freed before the next one is awaited
