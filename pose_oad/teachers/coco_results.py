"""COCO results as a teacher: a JSON list of people by image, as pose networks write and `make predict` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, Origin, TeacherRequest
from pose_oad.teachers.label_files import Missing, assemble, known_origin, read_json, read_people
from pose_oad.tracking.errors import UserError, nearest, require
from pose_oad.tracking.schema import Number, Text


class CocoResultsTeacher:
    """Label frames with the entries of COCO results files, with the keys of ``conf/teacher/coco_results.yaml``.

    Coordinates are COCO's pixel indices, to which half a px is added. The third number of a joint is its confidence;
    COCO's visibility flags 1 and 2, and whatever else lies above 1, count as 1. People stand in the order of their
    score.

    Such a file has no entry for a frame in which nobody was found, nor for one that nobody looked at: it cannot tell
    the two apart. Frames without an entry are counted in any case. A file of a folder is named by the clip or the
    video.
    """

    uses_truth = False

    def __init__(
        self,
        path: Text,
        annotations: str | None = None,
        skeleton: str | Mapping[str, Any] = "coco-17",
        first: Number = 0,
        missing_labels: Missing = "nobody",
    ) -> None:
        self.skeleton = get_skeleton(skeleton)
        self._path, self._first, self._missing = Path(path), first, missing_labels
        require(self._path.exists(), "path", path, "an existing file of COCO results, or a folder of them")
        self._files: dict[str, list[Path]] = {}
        for file in sorted(self._path.rglob("*.json")) if self._path.is_dir() else ():
            self._files.setdefault(file.stem, []).append(file)
        require(self._path.is_file() or bool(self._files), "path", path, "a folder with files <video>.json")
        self._ids = None if annotations is None else _image_ids(Path(annotations))
        self._results: dict[Path, dict[int, np.ndarray]] = {}
        self._owners: dict[Path, Path] = {}
        if self._path.is_file():
            self._load(self._path)
        self.name = f"coco_results:{self._path.stem}"

    def image_size(self, frame_size: tuple[int, int]) -> None:
        """Return None: it reads no pixels."""
        return

    def label(self, request: TeacherRequest) -> Labels:
        """Look some frames up; a frame without an entry may be refused."""
        source = f"teacher.path={self._path}"
        origin, path = known_origin(request.origin, source)
        numbers = self._numbers(origin)
        results = self._load(self._file(origin, path))
        frames = [results.get(number) for number in numbers]
        return assemble(frames, self._missing, len(self.skeleton), f"{source}: {origin.clip}")

    def _file(self, origin: Origin, path: Path) -> Path:
        """Find the file of a clip; no two videos or folders of images share one."""
        source = f"teacher.path={self._path}"
        if self._path.is_file():
            file = self._path
        else:
            by_clip = self._path / f"{origin.clip}.json"
            name = path.name if origin.names else path.stem
            if not by_clip.is_file() and name not in self._files:
                raise UserError(f"{source}: no {name}.json for {origin.clip}{nearest(name, self._files)}")
            named = [by_clip] if by_clip.is_file() else self._files[name]
            if len(named) > 1:
                raise UserError(f"{source}: {named[0]} and {named[1]} are both called like {origin.clip}; expected one")
            [file] = named
        owner = self._owners.setdefault(file, path)
        if owner != path:
            raise UserError(f"{source}: {file.name} would label both {owner} and {path}; expected a file for each")
        return file

    def _numbers(self, origin: Origin) -> list[int]:
        if not origin.names:
            if self._ids is not None:
                raise UserError(f"teacher.annotations: expected null, since {origin.clip} is a video")
            return [number + self._first for number in origin.numbers.tolist()]
        if self._ids is None:
            raise UserError(f"teacher.annotations=None: expected a file with the ids of {origin.clip}'s images")
        names = [Path(name).name for name in origin.names]
        for name in names:
            if name not in self._ids:
                raise UserError(f"teacher.annotations: no id for the image {name}{nearest(name, self._ids)}")
        return [self._ids[name] for name in names]

    def _load(self, file: Path) -> dict[int, np.ndarray]:
        """Read a file once: people by image id, best first, shape (people, joints, 3), px."""
        if file not in self._results:
            self._results[file] = _read_results(file, len(self.skeleton), self._first if self._ids is None else None)
        return self._results[file]


def _read_results(file: Path, joints: int, first: int | None) -> dict[int, np.ndarray]:
    entries = read_json(file)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{file}: no COCO results; expected a list of entries with image_id, keypoints and score")
    for key, kinds in (("image_id", {int}), ("score", {int, float}), ("keypoints", {list})):
        wrong = next((entry.get(key) for entry in entries if type(entry.get(key)) not in kinds), entries)
        if wrong is not entries:
            kind = "a list" if key == "keypoints" else "a number"
            raise UserError(f"{file}: an entry with {key}={wrong}; expected {kind} (COCO results of keypoints)")
    people = read_people([entry["keypoints"] for entry in entries], joints, file)
    people[..., 2] = people[..., 2].clip(0, 1)
    found = people[..., 2:] > 0
    people[..., :2] += COCO_PIXEL_CENTRE
    people *= found
    ids = [entry["image_id"] for entry in entries]
    if first is not None and ids and min(ids) < first:
        raise UserError(f"{file}: image_id={min(ids)} lies before teacher.first={first}")
    by_id: dict[int, list[int]] = {}
    for row in sorted(range(len(entries)), key=lambda row: -entries[row]["score"]):
        by_id.setdefault(ids[row], []).append(row)
    return {number: people[rows] for number, rows in by_id.items()}


def _image_ids(file: Path) -> dict[str, int]:
    require(file.is_file(), "annotations", file, "an existing file that gives images their ids")
    content = read_json(file)
    images = content.get("images") if isinstance(content, dict) else content
    expected = "a list of images with id and file_name (COCO annotations, or predict's .images.json)"
    if not isinstance(images, list):
        raise UserError(f"teacher.annotations={file}: expected {expected}")
    ids: dict[str, int] = {}
    for image in images:
        name, number = (image.get("file_name"), image.get("id")) if isinstance(image, dict) else (None, None)
        if not isinstance(name, str) or type(number) is not int:
            raise UserError(f"teacher.annotations={file}: an image {str(image)[:60]}; expected {expected}")
        if ids.setdefault(Path(name).name, number) != number:
            raise UserError(f"teacher.annotations={file}: two images are called {Path(name).name}")
    return ids
