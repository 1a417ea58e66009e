"""Opening HDF5 files that may be damaged, or made to do harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from pose_oad.tracking.errors import UserError

# As much as a compressed data set may be larger than what is stored of it; LZF reaches 88.
_MOST_PACKED = 100


@contextmanager
def reading(path: Path, what: str) -> Iterator[h5py.File]:
    """Open an HDF5 file of which no part lies elsewhere; whatever goes wrong with it in the block names the file.

    Args:
        path: the file
        what: what it should be, in a few words, and perhaps what to do if it is not

    Yields:
        The open file.

    Raises:
        UserError: if it is missing or damaged, claims numbers that it does not hold or that lie in other files, or what
            is asked for is not in it.
    """
    try:
        with h5py.File(path, "r") as file:
            if fault := file.visititems_links(_fault_of_link) or file.visititems(_fault_of_item):
                raise ValueError(fault)
            yield file
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: cannot be read as {what} ({reason})") from error


def _fault_of_link(name: str, link: object) -> str | None:
    """Say that something is elsewhere, perhaps in another file."""
    return None if isinstance(link, h5py.HardLink) else f"{name} is a link to another place"


def _fault_of_item(name: str, item: h5py.Group | h5py.Dataset) -> str | None:
    """Say that the numbers of a data set are not in the file."""
    if not isinstance(item, h5py.Dataset):
        return None
    if item.external or item.is_virtual:
        return f"{name} lies in another file"
    held = item.id.get_storage_size()
    packed = held * (_MOST_PACKED if item.compression else 1)
    return f"{name} claims {item.nbytes} bytes and holds {held}" if item.nbytes > packed else None
