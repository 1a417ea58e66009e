"""Outputs that appear together and whole, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import av

from pose_oad.tracking.errors import UserError, check

#: What one of OpenPose's folders holds, and so all that may be in a folder that is replaced.
OPENPOSE_FILES = "*_keypoints.json"


class Staging:
    """Give outputs a temporary place beside their own, and move them there when all of them are done.

    A context: leaving it by an error, or an interrupt, removes whatever has been written.

    Args:
        overwrite: whether outputs that exist may be replaced
    """

    def __init__(self, overwrite: bool = False) -> None:
        self._overwrite = overwrite
        self._places: list[tuple[Path, Path]] = []

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for place, target in self._places:
                if target.is_dir():
                    shutil.rmtree(target)
                os.replace(place, target)
            return
        for place, _ in self._places:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)

    def refuse(self, key: str, target: Path, folder: bool = False) -> None:
        """Refuse an output that may not be written where it is wanted.

        Args:
            key: config key that names it
            target: where it is wanted
            folder: whether it is a folder

        Raises:
            UserError: if it exists and is not to be replaced, or is no file, or no folder of OpenPose's files.
        """
        with writing(key, target):  # as of a name that is too long
            if not target.exists():
                return
        check(target.is_dir() == folder, key, target, f"the name of a {'folder' if folder else 'file'}")
        check(self._overwrite, key, target, "something that does not exist yet, or overwrite=true")
        if folder:
            others = set(target.iterdir()) - set(target.glob(OPENPOSE_FILES))
            check(not others, key, target, f"a folder with nothing but {OPENPOSE_FILES} in it, which would be replaced")

    def place(self, key: str, target: Path, folder: bool = False) -> Path:
        """Make room for an output.

        Args:
            key: config key that names it
            target: where it will be at the end; its folder is made
            folder: whether it is a folder

        Returns:
            The temporary place: an empty file or folder beside the target.

        Raises:
            UserError: if nothing can be written there, or as :meth:`refuse`.
        """
        self.refuse(key, target, folder)
        place = target.with_name(f".{target.name}.{os.getpid()}")
        with writing(key, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if folder:
                place.mkdir()
            else:
                place.touch(exist_ok=False)
        self._places.append((place, target))
        return place


@contextmanager
def writing(key: str, target: Path) -> Iterator[None]:
    """Turn what goes wrong while an output is written into one line that names it.

    Args:
        key: config key that names the output
        target: where it was to be

    Raises:
        UserError: if the block fails for a reason outside the program, as a full disk.
    """
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{key}={target}: cannot be written ({reason})") from error
