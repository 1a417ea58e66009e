"""OpenPose's JSON files as a teacher: what ``--write_json`` said about every frame."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.teachers.base import Labels, Origin, TeacherRequest
from pose_oad.teachers.label_files import Missing, assemble, known_origin, read_json, read_people
from pose_oad.tracking.errors import UserError, nearest, require
from pose_oad.tracking.schema import Number, Text

# Joint sets by the length of a person's list.
_SETS = {3 * len(get_skeleton(name)): name for name in ("body-25", "coco-18")}
# OpenPose's flag --keypoint_scale, as far as the frame's own size can be told from it.
_PIXELS: Final = 0
_PLUS_MINUS_ONE: Final = 4


class OpenPoseJsonTeacher:
    """Label frames with what OpenPose wrote about them, a JSON file a frame, see ``conf/teacher/openpose_json.yaml``.

    OpenPose's px are ours: it adds half a px to the index of a heat map's peak, so that (0.5, 0.5) is the centre of the
    first pixel (its ``nmsOffset``). Its normalised coordinates are px divided by the frame's sides less 1
    (``KeypointScaler``). People stand in the order of their mean confidence.
    """

    uses_truth = False

    def __init__(
        self,
        folder: Text,
        skeleton: str | Mapping[str, Any] | None = None,
        keypoint_scale: Literal[0, 3, 4] = _PIXELS,
        first: Number = 0,
        missing_labels: Missing = "refuse",
    ) -> None:
        self._files = OpenPoseFiles(Path(folder))
        self._folder, self._scale, self._first, self._missing = folder, keypoint_scale, first, missing_labels
        self.skeleton: Skeleton = get_skeleton(skeleton or self._recognise())
        self.name = f"openpose_json:{Path(folder).name}"

    def image_size(self, frame_size: tuple[int, int]) -> None:
        """Return None: it reads no pixels."""
        return

    def label(self, request: TeacherRequest) -> Labels:
        """Read the files of some frames."""
        source = f"teacher.folder={self._folder}"
        origin, path = known_origin(request.origin, source)
        files = self._files.find(origin, path, self._first)
        frames = [None if file is None else self._people(file, request.frame_size) for file in files]
        return assemble(frames, self._missing, len(self.skeleton), f"{source}: {origin.clip}")

    def _recognise(self) -> str:
        """Tell the joint set from the first person in any file."""
        for file in self._files:
            for keypoints in _listed(file):
                length = len(keypoints) if isinstance(keypoints, list) else 0
                if length not in _SETS:
                    raise UserError(f"{file}: a person of {length} numbers: expected 75 (body-25) or 54 (coco-18)")
                return _SETS[length]
        raise UserError(f"teacher.skeleton=None: nobody in any file of {self._folder}; expected body-25 or coco-18")

    def _people(self, file: Path, frame_size: tuple[int, int]) -> np.ndarray:
        """Read the people of one file, shape (people, joints, 3), px of the frame."""
        people = read_people(_listed(file), len(self.skeleton), file)
        found = people[..., 2] > 0
        self._check_scale(people[found][:, :2], file)
        if self._scale == _PLUS_MINUS_ONE:
            people[..., :2] = (people[..., :2] + 1) / 2
        if self._scale != _PIXELS:
            people[..., :2] *= np.array(frame_size) - 1
        people[~found] = 0.0
        return people[np.argsort(-people[..., 2].mean(-1), kind="stable")]

    def _check_scale(self, located: np.ndarray, file: Path) -> None:
        """Refuse coordinates, shape (joints, 2), that are plainly of another scale."""
        largest = np.abs(located).max(initial=0)
        if self._scale == _PIXELS and len(located) > 1 and largest <= 1:
            raise UserError(f"{file}: coordinates from -1 to 1; expected px, or teacher.keypoint_scale=3 or 4")
        if self._scale != _PIXELS and largest > 2:
            raise UserError(f"{file}: coordinate {largest:g} with teacher.keypoint_scale={self._scale}; expected 0")


def _listed(file: Path) -> list[object]:
    """Return the list of body keypoints of everybody in a file who has one."""
    content = read_json(file)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise UserError(f"{file}: no list of people; expected a file of OpenPose's --write_json")
    # Without the suffix before version 1.2.
    listed = [person.get("pose_keypoints_2d", person.get("pose_keypoints")) for person in people]
    if any(keypoints is None for keypoints in listed):
        raise UserError(f"{file}: a person without pose_keypoints_2d")
    return [keypoints for keypoints in listed if keypoints != []]


_SUFFIX = "_keypoints.json"
_NUMBERED = re.compile(r"(?:(.*)_)?(\d+)", re.DOTALL)


class OpenPoseFiles:
    """The files of a folder and of the folders in it, listed once.

    A video's files are found in the sub-folder that has the clip's name (``S1/Walking 1.55011271``) or the video's
    (``Walking 1.55011271``), else in the folder itself; there they are those that begin with the video's name, or all
    of them where all begin alike. An image's file bears the image's name. No two videos or folders of images
    share their files: labels of one would pass for the other's.
    """

    def __init__(self, folder: Path) -> None:
        require(folder.is_dir(), "folder", folder, "the folder that OpenPose's --write_json wrote")
        self._what = f"teacher.folder={folder}"
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

        They come from the video or folder ``path``, to whose first frame the files give the number ``first``.
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
        raise UserError(f"{self._what}: expected a folder {name!r} for {origin.clip}{nearest(name, self._places)}")

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
            raise UserError(f"{self._what}: expected {name}_<number>{_SUFFIX} for {origin.clip}{nearest(name, series)}")
        self._own((place, f"{name}_<number>"), origin, path)
        return series[name]

    def _own(self, series: tuple[str, str], origin: Origin, path: Path) -> None:
        """Refuse a second owner of some files, given by their folder and how their names begin."""
        owner = self._owners.setdefault(series, path)
        if owner != path:
            raise UserError(f"{self._what}: {series[1]}{_SUFFIX} would label both {owner} and {path}")


def _refuse(error: OSError) -> None:
    raise UserError(f"teacher.folder: {error.filename} cannot be read ({error.strerror})") from error
