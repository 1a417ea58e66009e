"""HDF5 files: opening those that may be damaged, or made to do harm, and writing whole ones."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from pose_oad.tracking.errors import UserError, reason_of
from pose_oad.tracking.files import replacing, write_all

# As much as a compressed data set may be larger than what is stored of it; LZF reaches 88.
_MOST_PACKED = 100


@contextmanager
def reading(path: Path, what: str) -> Iterator[h5py.File]:
    """Open an HDF5 file of which no part lies elsewhere; whatever goes wrong with it in the block names the file.

    Args:
        path: the file
        what: what it should be, in a few words, and perhaps what to do if it is not

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
        raise UserError(f"{path}: cannot be read as {what} ({reason_of(error, 100)})") from error


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


@contextmanager
def replacing_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to be written, which takes its place as :func:`~pose_oad.tracking.files.replacing` says.

    The latest format has a checksum on everything but the data, so that a damaged file is recognised.

    Raises:
        UnwritableError: if it cannot be written, as on a full disk.
    """
    with replacing(path) as partial, _PatientFile(partial, "w+b") as raw:
        with h5py.File(raw, "w", libver="latest") as file:
            yield file
        if raw.error is not None:
            raise raw.error


class _PatientFile(io.FileIO):
    """A file that hides from HDF5 that the disk is full: it kills the process when it cannot write what it caches.

    Attributes:
        error: the first error; nothing is written after it
    """

    error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write, or note the error."""
        if self.error is None:
            try:
                write_all(self, content)
            except OSError as error:
                self.error = error
        return len(content)
