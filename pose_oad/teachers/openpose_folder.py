"""Which of the files that OpenPose's ``--write_json`` left belongs to which frame."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pose_oad.teachers.origin import Origin
from pose_oad.tracking.errors import UserError, nearest, require

_SUFFIX = "_keypoints.json"
_NUMBERED = re.compile(r"(?:(.*)_)?(\d+)", re.DOTALL)


class OpenPoseFiles:
    """The files of a folder and of the folders in it, listed once.

    A video's files are found in the sub-folder that has the clip's name (``S1/Walking 1.55011271``) or the video's
    (``Walking 1.55011271``), else in the folder itself; there they are those that begin with the video's name, or all
    of them where all begin alike. An image's file bears the image's name. No two videos or folders of images
    share their files: labels of one would pass for the other's.

    Args:
        folder: where they are

    Raises:
        UserError: if there is no such folder, or no such file in it.
    """

    def __init__(self, folder: Path) -> None:
        require(folder.is_dir(), "folder", folder, "the folder that OpenPose's --write_json wrote")
        self._folder = folder
        self._places: dict[str, dict[str, Path]] = {}
        for place, _, names in os.walk(folder, onerror=_refuse):
            found = {name.removesuffix(_SUFFIX): Path(place, name) for name in names if name.endswith(_SUFFIX)}
            if found:
                self._places[Path(place).relative_to(folder).as_posix()] = found
        require(bool(self._places), "folder", folder, f"a folder with files <name>{_SUFFIX}, as --write_json writes")
        self._owners: dict[tuple[str, str], Path] = {}
        self._series: dict[Path, dict[int, Path]] = {}

    def __iter__(self) -> Iterator[Path]:
        """Yield every file, sorted by folder and name."""
        for place in sorted(self._places):
            yield from sorted(self._places[place].values())

    def find(self, origin: Origin, path: Path, first: int) -> list[Path | None]:
        """Return the file of each of some frames, None where a frame has none.

        Args:
            origin: where they come from
            path: its file, or folder of images
            first: number that the files give to a video's first frame

        Raises:
            UserError: if no files, or those of several videos, may be meant.
        """
        if origin.names:
            place = self._place(origin, path)
            self._own((place, "<image>"), origin, path)
            return [self._places[place].get(Path(name).stem) for name in origin.names]
        if path not in self._series:
            self._series[path] = self._claim(origin, path)
        return [self._series[path].get(number + first) for number in origin.numbers.tolist()]

    def _place(self, origin: Origin, path: Path) -> str:
        name = path.name if origin.names else path.stem
        for place in (origin.clip, name, "."):
            if place in self._places:
                return place
        raise UserError(
            f"teacher.folder={self._folder}: no labels for {origin.clip}; expected a folder '{name}' in it"
            f"{nearest(name, self._places)}"
        )

    def _claim(self, origin: Origin, path: Path) -> dict[int, Path]:
        """Find a video's files by the number in their names."""
        place = self._place(origin, path)
        series: dict[str, dict[int, Path]] = defaultdict(dict)
        for stem, file in self._places[place].items():
            parts = _NUMBERED.fullmatch(stem)
            if parts is not None:
                series[parts[1] or ""][int(parts[2])] = file
        name = path.stem if path.stem in series or len(series) != 1 else next(iter(series))
        if name not in series:
            raise UserError(
                f"teacher.folder={self._folder}: no labels for {origin.clip}; expected files "
                f"{name}_<number>{_SUFFIX}{nearest(name, series)}"
            )
        self._own((place, f"{name}_<number>"), origin, path)
        return series[name]

    def _own(self, series: tuple[str, str], origin: Origin, path: Path) -> None:
        """Refuse a second owner of some files, given by their folder and how their names begin."""
        owner = self._owners.setdefault(series, path)
        if owner != path:
            raise UserError(
                f"teacher.folder={self._folder}: the files {series[1]}{_SUFFIX} would label both {owner} and {path}; "
                f"expected a folder of its own for each, as '{origin.clip}'"
            )


def _refuse(error: OSError) -> None:
    raise UserError(f"teacher.folder: {error.filename} cannot be read ({error.strerror})") from error
