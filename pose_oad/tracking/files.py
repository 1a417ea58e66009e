"""Writing files so that a kill, or a full disk, leaves the old one or the whole new one, and never half a line."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_oad.tracking.errors import UnwritableError

if TYPE_CHECKING:
    import h5py


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside another to be written, which then takes its place in one step.

    Args:
        path: the file to replace, or to make; its folder is made

    Yields:
        Where to write; it takes the place of ``path`` at the end of the block, and is removed if the block fails.

    Raises:
        UnwritableError: if it cannot be written, as on a full disk.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is written into one line that names it.

    Args:
        path: the file

    Raises:
        UnwritableError: if the block fails by an OSError, or by an error that hides one, as torch's writer raises.
        KeyboardInterrupt: if it fails by an error that hides one.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        hidden: BaseException | None = error
        while hidden is not None and not isinstance(hidden, OSError | KeyboardInterrupt):
            hidden = hidden.__context__
        if isinstance(hidden, OSError):
            # HDF5's text is a paragraph; the system's says it in few words.
            reason = os.strerror(hidden.errno) if hidden.errno else hidden
            raise UnwritableError(f"{path}: cannot be written ({reason})") from error
        if hidden is not None:
            raise hidden from None
        raise


def append_lines(path: Path, text: str) -> None:
    """Append lines to a file; all of them or, where the disk is full, none.

    Args:
        path: the file, made if it is not there
        text: the lines, each with its end

    Raises:
        UnwritableError: if it cannot be written; the file is as before.
    """
    with writing(path), path.open("ab+", buffering=0) as file:
        end = _cut_torn_line(file)
        try:
            _write(file, text.encode())
        except OSError:
            with suppress(OSError):
                file.truncate(end)
            raise


def cut_torn_line(path: Path) -> None:
    """Remove what a killed writer left of the last line of a file, which would spoil the next one."""
    if path.exists():
        with path.open("ab+", buffering=0) as file:
            _cut_torn_line(file)


def _cut_torn_line(file: io.FileIO) -> int:
    """Remove a last line without its end; return the length of the rest, bytes."""
    length = file.seek(0, os.SEEK_END)
    if length:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            length = file.readall().rfind(b"\n") + 1
            file.truncate(length)
    return length


def _write(file: io.FileIO, content: Any) -> None:
    """Write all of it: where the disk is filled up, the system writes a part first and fails the next time."""
    rest = memoryview(content).cast("B")
    while rest:
        rest = rest[io.FileIO.write(file, rest) :]


@contextmanager
def replacing_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to be written, which takes its place as :func:`replacing` says.

    The latest format has a checksum on everything but the data, so that a damaged file is recognised.

    Args:
        path: the file to replace, or to make; its folder is made

    Yields:
        The file.

    Raises:
        UnwritableError: if it cannot be written, as on a full disk.
    """
    import h5py

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
                _write(self, content)
            except OSError as error:
                self.error = error
        return len(content)
