"""Opening HDF5 files that may be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from pose_oad.errors import UserError


@contextmanager
def reading(path: Path, what: str) -> Iterator[h5py.File]:
    """Open an HDF5 file; whatever goes wrong with it in the block names the file.

    Args:
        path: the file
        what: what it should be, in a few words, and perhaps what to do if it is not

    Yields:
        The open file.

    Raises:
        UserError: if it is missing or damaged, or what is asked for is not in it.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: cannot be read as {what} ({reason})") from error
