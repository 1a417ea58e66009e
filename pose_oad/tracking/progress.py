"""How far a walk through frames has come, for those who watch."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")


def watched(items: Iterable[T], total: int | None, what: str) -> Generator[T, None, None]:
    """Show a progress bar on a terminal while items are walked through, of so many, or nobody knows how many."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, what, total, console=console, disable=not sys.stderr.isatty(), transient=True)
