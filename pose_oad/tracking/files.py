"""Writing files so that a kill, or a full disk, leaves the old one or the whole new one, and never half a line."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec

from pose_oad.tracking.errors import UnwritableError, check

P = ParamSpec("P")

#: What one of OpenPose's folders holds, and so all that may be in a folder that is replaced.
OPENPOSE_FILES = "*_keypoints.json"


@contextmanager
def writing(path: Path, key: str = "") -> Iterator[None]:
    """Name the file, and the config key that names it, in what goes wrong while it is written.

    Raises:
        UnwritableError: if the block fails by an error of the system or of PyAV, or by one that hides an OSError, as
            torch's writer raises.
        KeyboardInterrupt: if it fails by an error that hides one.
    """
    try:
        yield
    except Exception as error:
        hidden: BaseException | None = error
        if isinstance(error, OSError | RuntimeError):
            while hidden is not None and not isinstance(hidden, OSError | KeyboardInterrupt):
                hidden = hidden.__context__
        if isinstance(hidden, KeyboardInterrupt):
            raise hidden from None
        if not hasattr(hidden, "strerror"):
            raise
        # HDF5's text is a paragraph; the system's says it in few words.
        number = hidden.errno if isinstance(hidden, OSError) else None
        reason = os.strerror(number) if number else getattr(hidden, "strerror", None) or hidden
        name = f"{key}={path}" if key else path
        raise UnwritableError(f"{name}: cannot be written ({reason})") from error


@contextmanager
def guarded(output: AbstractContextManager[Callable[P, None]], path: Path, key: str) -> Iterator[Callable[P, None]]:
    """Have :func:`writing` name a file in what goes wrong while it is opened, written by calls, and finished."""
    with writing(path, key):
        write_part = output.__enter__()

    def guarded_write(*args: P.args, **kwargs: P.kwargs) -> None:
        with writing(path, key):
            write_part(*args, **kwargs)

    try:
        yield guarded_write
    except BaseException as error:
        with writing(path, key):
            output.__exit__(type(error), error, error.__traceback__)
        raise
    with writing(path, key):
        output.__exit__(None, None, None)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside another to be written, which takes its place in one step at the end of the block.

    If the block fails, it is removed. Folders are made.

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


class Staging:
    """Give outputs a temporary place beside their own, and move them there when all of them are done.

    A context: leaving it by an error, or an interrupt, removes whatever has been written.

    Args:
        overwrite: whether outputs that exist may be replaced
    """

    def __init__(self, overwrite: bool = False) -> None:
        self._overwrite = overwrite
        self._places: list[tuple[Path, Path, str]] = []

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for place, target, key in self._places if kind is None else ():
                with writing(target, key):
                    if target.is_dir():
                        shutil.rmtree(target)
                    place.replace(target)
        finally:
            for place, *_ in self._places:
                if place.is_dir():
                    shutil.rmtree(place, ignore_errors=True)
                else:
                    place.unlink(missing_ok=True)

    def refuse(self, key: str, target: Path, folder: bool = False) -> None:
        """Refuse an output, that a config key names, if it may not be written where it is wanted.

        Raises:
            UserError: if it exists and is not to be replaced, or is no file, or no folder of OpenPose's files.
        """
        with writing(target, key):  # as of a name that is too long
            if not target.exists():
                return
        check(target.is_dir() == folder, key, target, f"the name of a {'folder' if folder else 'file'}")
        check(self._overwrite, key, target, "something that does not exist yet, or overwrite=true")
        if folder:
            others = set(target.iterdir()) - set(target.glob(OPENPOSE_FILES))
            check(not others, key, target, f"a folder with nothing but {OPENPOSE_FILES} in it, which would be replaced")

    def place(self, key: str, target: Path, folder: bool = False) -> Path:
        """Make room for an output, that a config key names; its folder is made.

        Returns:
            The temporary place: an empty file or folder beside the target, whose name ends as the target's does.

        Raises:
            UserError: if nothing can be written there, or as :meth:`refuse`.
        """
        self.refuse(key, target, folder)
        place = target.with_name(f".{os.getpid()}.{target.name}")
        with writing(target, key):
            target.parent.mkdir(parents=True, exist_ok=True)
            if folder:
                place.mkdir()
            else:
                place.touch(exist_ok=False)
        self._places.append((place, target, key))
        return place


def append_lines(path: Path, text: str) -> None:
    """Append lines, each with its end, to a file; all of them or, where the disk is full, none.

    Raises:
        UnwritableError: if it cannot be written; the file is as before.
    """
    with writing(path), path.open("ab+", buffering=0) as file:
        end = _cut_torn_line(file)
        try:
            write_all(file, text.encode())
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


def write_all(file: io.FileIO, content: Any) -> None:
    """Write all of it: where the disk is full, the system writes a part first and fails the next time."""
    rest = memoryview(content).cast("B")
    while rest:
        rest = rest[io.FileIO.write(file, rest) :]
