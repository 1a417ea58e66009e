"""Writing a file so that the old one or the whole new one is there, whenever the process dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside another to be written, which then takes its place in one step.

    Args:
        path: the file to replace, or to make

    Yields:
        Where to write; it takes the place of ``path`` at the end of the block, and is removed if the block fails.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def raise_if_interrupted(error: BaseException) -> None:
    """Raise the interrupt that an error hides: torch's writer, closed by one, complains of its position instead.

    Args:
        error: what was raised while writing

    Raises:
        KeyboardInterrupt: if the error was raised while one was being handled.
    """
    if isinstance(error.__context__, KeyboardInterrupt):
        raise error.__context__
