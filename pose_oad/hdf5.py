"""Opening HDF5 files that may be damaged, or made to do harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py

from pose_oad.errors import UserError

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
            file.visititems_links(partial(_check_link, file))
            file.visititems(_check_dataset)
            yield file
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: cannot be read as {what} ({reason})") from error


def _check_link(file: h5py.File, name: str, link: object) -> None:
    """Refuse a link to another place, which may be another file."""
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name} is a link to another place")


def _check_dataset(name: str, item: h5py.Group | h5py.Dataset) -> None:
    """Refuse a data set whose numbers are not in the file."""
    if not isinstance(item, h5py.Dataset):
        return
    if item.external or item.is_virtual:
        raise ValueError(f"{name} lies in another file")
    held = item.id.get_storage_size() * (_MOST_PACKED if item.compression else 1)
    if item.nbytes > held:
        raise ValueError(f"{name} claims {item.nbytes} bytes and holds {item.id.get_storage_size()}")
