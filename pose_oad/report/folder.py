"""A folder that is replaced as a whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pose_oad.tracking.errors import UserError

#: Names the files of a report; written last. Only a folder that holds it, and nothing it does not name, is replaced.
MANIFEST = "report.json"


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Write into a temporary folder beside the wanted one, which takes its place when the block ends without an error.

    Args:
        folder: the folder wanted; new, empty, or left by an earlier report

    Yields:
        The temporary folder.

    Raises:
        UserError: if the folder cannot be written or holds files that no report has written.
    """
    _check_replaceable(folder)
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise UserError(f"folder={folder}: cannot be written ({error.strerror})") from error
    with beside as name:
        partial, former = Path(name) / "new", Path(name) / "former"
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.rename(former)
        try:
            partial.rename(folder)
        except OSError:
            if former.exists():
                former.rename(folder)
            raise


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    expected = "expected a new or empty folder, or one left by an earlier report"
    if not folder.is_dir():
        raise UserError(f"folder={folder}: is a file; {expected}")
    if not os.access(folder, os.W_OK) or not os.access(folder.absolute().parent, os.W_OK):
        raise UserError(f"folder={folder}: cannot be written; {expected}")
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    foreign = present - _named_by_manifest(folder / MANIFEST)
    if foreign:
        raise UserError(f"folder={folder}: holds {min(foreign)}, which no report wrote; {expected}")


def _named_by_manifest(path: Path) -> set[str]:
    try:
        return {MANIFEST, *json.loads(path.read_text())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
