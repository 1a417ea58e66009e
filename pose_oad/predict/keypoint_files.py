"""Keypoints as files: COCO results, OpenPose's JSON, CSV and Parquet, written frame by frame.

Each writer is a context that finishes its file. Coordinates are continuous px of the original frame (the first pixel's
centre is at 0.5); COCO's are pixel indices (at 0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from torch import Tensor

from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.poses.skeleton import Skeleton, get_skeleton, joint_map, map_keypoints
from pose_oad.predict.poses import FramePoses
from pose_oad.tracking.errors import check
from pose_oad.tracking.files import writing

KEY = "output.keypoints"
_SUFFIXES = {".json": "coco", ".csv": "csv", ".parquet": "parquet", "": "openpose"}
_OPENPOSE_VERSION = 1.3
_OPENPOSE_EMPTY = (
    "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d",
    "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d",
)  # fmt: skip


class KeypointWriter:
    """A context that takes the people of one frame after another and finishes the output, or gives it up on an error.

    Args:
        target: what error messages call the output
        skeleton: joint set of the people
        images: the files, where every frame is one of its own
    """

    def __init__(self, target: Path, skeleton: Skeleton, images: Sequence[Path] = ()) -> None:
        self._target, self._skeleton, self._images = target, skeleton, images

    def write(self, number: int, poses: FramePoses) -> None:
        """Take the people of a frame, by its number."""
        raise NotImplementedError

    def close(self, complete: bool) -> None:
        """Close what is open, finished if it is complete."""

    def __enter__(self) -> KeypointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._target, KEY):
            self.close(kind is None)


def choose_format(target: Path, wanted: str) -> str:
    """Tell in which format an output is to be written.

    Args:
        target: the output
        wanted: ``auto``, ``coco``, ``openpose``, ``csv`` or ``parquet``

    Returns:
        One of the last four.

    Raises:
        UserError: if the format is unknown, or not what the name promises.
    """
    formats = tuple(_SUFFIXES.values())
    check(wanted in ("auto", *formats), "output.format", wanted, f"auto, {', '.join(formats)}")
    promised = _SUFFIXES.get(target.suffix.lower())
    check(promised is not None, KEY, target, "a name in .json, .csv or .parquet, or a folder's without a suffix")
    check(
        wanted in ("auto", promised), "output.format", wanted,
        f"auto or {promised}, which {KEY}={target} stands for",
    )  # fmt: skip
    return str(promised)


def make_writer(
    kind: str, place: Path, target: Path, skeleton: Skeleton, images: Sequence[Path], openpose: str, stem: str
) -> KeypointWriter:
    """Open a writer.

    Args:
        kind: ``coco``, ``openpose``, ``csv`` or ``parquet``
        place: the file or folder that is written
        target: what error messages call it
        skeleton: joint set of the people
        images: the files, where every frame is one of its own
        openpose: OpenPose's joint set
        stem: what OpenPose's files of a video begin with

    Raises:
        UserError: if the file cannot be written.
    """
    if kind == "coco":
        return _CocoFile(place, target, skeleton, images)
    if kind == "openpose":
        return _OpenPoseFolder(place, target, skeleton, images, get_skeleton(openpose), stem)
    return _TableFile(place, target, skeleton, images, kind)


def check_joints(kind: str, skeleton: Skeleton, openpose: str) -> None:
    """Refuse a format that knows none of the joints, or an OpenPose joint set that does not exist.

    Raises:
        UserError: naming both joint sets, or the key.
    """
    check(openpose in ("body-25", "coco-18"), "output.openpose", openpose, "body-25 or coco-18")
    if kind in ("coco", "openpose"):
        joint_map(skeleton, get_skeleton("coco-17" if kind == "coco" else openpose))


def image_ids(images: Sequence[Path]) -> list[int]:
    """Number images as COCO does: by the digits that end their names, where all names have some and all differ.

    Returns:
        A number for each image, otherwise its place in the list.
    """
    digits = [re.search(r"\d+$", path.stem) for path in images]
    numbers = [int(found[0]) for found in digits if found]
    return numbers if len(set(numbers)) == len(images) else list(range(len(images)))


def write_image_list(path: Path, images: Sequence[Path]) -> None:
    """Write which image has which id in COCO results, a list of ``{"id": …, "file_name": …}``."""
    listed = [{"id": number, "file_name": image.name} for number, image in zip(image_ids(images), images, strict=True)]
    path.write_text(json.dumps(listed, indent=1) + "\n")


class _CocoFile(KeypointWriter):
    """COCO results: one entry a person, 17 joints; what the network does not predict is all zero."""

    def __init__(self, path: Path, target: Path, skeleton: Skeleton, images: Sequence[Path]) -> None:
        super().__init__(target, skeleton, images)
        self._ids, self._coco, self._separator = image_ids(images), get_skeleton("coco-17"), "["
        with writing(target, KEY):
            self._file = path.open("w", encoding="utf-8")

    def write(self, number: int, poses: FramePoses) -> None:
        """Add the people of a frame that have any of COCO's joints."""
        people = map_keypoints(poses.keypoints, self._skeleton, self._coco).clone()  # it may be the poses themselves
        found = people[..., 2:] > 0
        people[..., :2] = (people[..., :2] - COCO_PIXEL_CENTRE) * found
        image = self._ids[number] if self._ids else number
        with writing(self._target, KEY):
            for person, score in zip(_rounded(people), poses.scores.tolist(), strict=True):
                if any(person[2::3]):
                    entry = {"image_id": image, "category_id": 1, "keypoints": person, "score": round(score, 4)}
                    self._file.write(self._separator + json.dumps(entry))
                    self._separator = ",\n"

    def close(self, complete: bool) -> None:
        """End the list."""
        with self._file:
            if complete:
                self._file.write(self._separator.strip(",\n") + "]\n")


class _OpenPoseFolder(KeypointWriter):
    """OpenPose's JSON: a file per frame, ``<stem>_<number in 12 digits>_keypoints.json``, or named by its image."""

    def __init__(
        self, folder: Path, target: Path, skeleton: Skeleton, images: Sequence[Path], wanted: Skeleton, stem: str
    ) -> None:
        super().__init__(target, skeleton, images)
        self._folder, self._wanted, self._stem = folder, wanted, stem
        first_of: dict[str, Path] = {}
        for image in images:
            first = first_of.setdefault(image.stem, image)
            check(first is image, KEY, target, f"a .json, .csv or .parquet: {first.name} and {image.name} share a file")

    def write(self, number: int, poses: FramePoses) -> None:
        """Write the file of a frame."""
        people = _rounded(map_keypoints(poses.keypoints, self._skeleton, self._wanted))
        listed = [
            {"person_id": [-1], "pose_keypoints_2d": person, **{key: [] for key in _OPENPOSE_EMPTY}}
            for person in people
        ]
        name = self._images[number].stem if self._images else f"{self._stem}_{number:012d}"
        with writing(self._target, KEY):
            text = json.dumps({"version": _OPENPOSE_VERSION, "people": listed})
            (self._folder / f"{name}_keypoints.json").write_text(text)


class _TableFile(KeypointWriter):
    """A long table: frame, (image,) person, joint, x, y, confidence, score; a row per joint of a person."""

    _FRAMES = 256  # kept before they are written

    def __init__(self, path: Path, target: Path, skeleton: Skeleton, images: Sequence[Path], kind: str) -> None:
        super().__init__(target, skeleton, images)
        image = [("image", pa.string())] if images else []
        self._schema = pa.schema(
            [
                ("frame", pa.int64()), *image, ("person", pa.int64()), ("joint", pa.string()), ("x", pa.float32()),
                ("y", pa.float32()), ("confidence", pa.float32()), ("score", pa.float32()),
            ]
        )  # fmt: skip
        for place in images:
            accepted = f"images whose names are UTF-8, unlike {str(place)!a}, or a .json"
            check(place.name.encode(errors="ignore").decode() == place.name, KEY, target, accepted)
        self._kept: list[tuple[int, FramePoses]] = []
        with writing(target, KEY):
            if kind == "csv":
                plain = pa.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
                self._writer = pa.csv.CSVWriter(str(path), self._schema, write_options=plain)
            else:
                self._writer = pa.parquet.ParquetWriter(str(path), self._schema)

    def write(self, number: int, poses: FramePoses) -> None:
        """Add the people of a frame."""
        self._kept.append((number, poses))
        if len(self._kept) == self._FRAMES:
            self._flush()

    def close(self, complete: bool) -> None:
        """Write what has been kept."""
        with self._writer:
            if complete:
                self._flush()

    def _flush(self) -> None:
        joints = len(self._skeleton)
        numbers = np.concatenate([np.full(len(p.scores) * joints, n) for n, p in self._kept] or [np.zeros(0, int)])
        persons = np.concatenate([np.arange(len(p.scores)).repeat(joints) for _, p in self._kept] or [numbers])
        rows = np.concatenate([p.keypoints.numpy().reshape(-1, 3) for _, p in self._kept] or [np.zeros((0, 3))])
        scores = np.concatenate([p.scores.numpy().repeat(joints) for _, p in self._kept] or [np.zeros(0)])
        columns = {
            "frame": numbers, "person": persons, "joint": list(self._skeleton.joints) * (len(rows) // joints),
            **dict(zip(("x", "y", "confidence"), rows.astype(np.float32).round(3).T, strict=True)),
            "score": scores.astype(np.float32).round(4),
        }  # fmt: skip
        if self._images:
            columns["image"] = [self._images[number].name for number in numbers]
        self._kept = []
        with writing(self._target, KEY):
            self._writer.write_table(pa.table(columns, schema=self._schema))


def _rounded(people: Tensor) -> list[list[float]]:
    """Flatten people, shape (people, joints, 3), to lists of numbers with three digits behind the point."""
    flat = people.double().numpy().round(3).reshape(len(people), 3 * people.shape[1])
    return (flat + 0.0).tolist()  # no minus in front of a zero
