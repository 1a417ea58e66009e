"""How far a walk through frames has come, for those who watch."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")


def watched(items: Iterable[T], total: int | None, what: str) -> Generator[T, None, None]:
    """Show a progress bar on a terminal, and nothing elsewhere.

    Args:
        items: what is walked through
        total: how many there are; None where nobody knows
        what: the word in front of the bar

    Yields:
        The items.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, what, total, console=console, disable=not sys.stderr.isatty(), transient=True)
