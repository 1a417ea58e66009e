"""Where an export writes: two files that appear together, when all checks have passed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pose_oad.tracking.errors import UserError


def report_file(file: Path) -> Path:
    """Name the file that says what was measured of an ONNX file: ``student.json`` of ``student.onnx``."""
    return file.with_suffix(".json")


@contextmanager
def finished(file: Path, beside: Callable[[Path], Path]) -> Iterator[Path]:
    """Give a name to write to, and with it one beside it; both files get their own names when all has gone well.

    Args:
        file: the file to write
        beside: names the second file by the first

    Yields:
        Where to write the first; what is there and beside it is removed if the block fails.

    Raises:
        UserError: if the folder or a file cannot be written.
    """
    part = file.with_name(f".{file.stem}.{os.getpid()}.part{file.suffix}")
    pairs = [(part, file), (beside(part), beside(file))]
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        with writing(file):
            for unfinished, final in pairs:
                os.replace(unfinished, final)
    finally:
        for unfinished, _ in pairs:
            unfinished.unlink(missing_ok=True)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Say that a file cannot be written, where that is so.

    Args:
        file: the file, as ``output.file`` names it

    Raises:
        UserError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"output.file={file}: cannot be written ({error.strerror or error})") from error
