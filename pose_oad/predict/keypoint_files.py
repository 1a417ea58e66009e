"""Keypoints as files: COCO results, OpenPose's JSON, CSV and Parquet, written frame by frame.

Each writer is a context that finishes its file. Coordinates are continuous px of the original frame (the first pixel's
centre is at 0.5); COCO's are pixel indices (at 0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from torch import Tensor

from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.poses.skeleton import Skeleton, get_skeleton, joint_map, map_keypoints
from pose_oad.predict.poses import FramePoses
from pose_oad.tracking.errors import check

KEY = "output.keypoints"
_SUFFIXES = {".json": "coco", ".csv": "csv", ".parquet": "parquet", "": "openpose"}
_OPENPOSE_VERSION = 1.3
_ROW_FRAMES = 256  # kept before they are written to a table
_OPENPOSE_EMPTY = (
    "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d",
    "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d",
)  # fmt: skip


#: Takes the people of a frame, by its number.
Write = Callable[[int, FramePoses], None]


def choose_format(target: Path, wanted: str) -> str:
    """Tell in which format an output is to be written: that of its suffix, with which a wanted one must agree."""
    promised = _SUFFIXES.get(target.suffix.lower(), "")
    check(bool(promised), KEY, target, "a name in .json, .csv or .parquet, or a folder's without a suffix")
    agrees = wanted in ("auto", promised)
    check(agrees, "output.format", wanted, f"auto or {promised}, which {KEY}={target} stands for")
    return promised


def make_writer(
    kind: str, place: Path, target: Path, skeleton: Skeleton, images: Sequence[Path], openpose: str, stem: str
) -> AbstractContextManager[Write]:
    """Open a writer of a format, at a temporary place, as a context that finishes its file.

    Error messages name the target; every frame is one of the images, if there are any. OpenPose's files have joints of
    its own, and names of a video's begin with its stem.
    """
    if kind == "coco":
        return _coco_file(place, skeleton, image_ids(images))
    if kind == "openpose":
        first_of: dict[str, Path] = {}
        for image in images:
            first = first_of.setdefault(image.stem, image)
            accepted = f"a .json, .csv or .parquet: {first.name} and {image.name} share a file"
            check(first is image, KEY, target, accepted)
        return _openpose_folder(place, skeleton, get_skeleton(openpose), stem, images)
    for image in images:
        accepted = f"images whose names are UTF-8, unlike {str(image)!a}, or a .json"
        check(image.name.encode(errors="ignore").decode() == image.name, KEY, target, accepted)
    return _table_file(place, skeleton, kind, images)


def check_joints(kind: str, skeleton: Skeleton, openpose: str) -> None:
    """Refuse a format that knows none of the joints."""
    if kind in ("coco", "openpose"):
        joint_map(skeleton, get_skeleton("coco-17" if kind == "coco" else openpose))


def image_ids(images: Sequence[Path]) -> list[int]:
    """Number images as COCO does: by the digits that end their names where all differ, else by their places."""
    digits = [re.search(r"\d+$", path.stem) for path in images]
    numbers = [int(found[0]) for found in digits if found]
    return numbers if len(set(numbers)) == len(images) else list(range(len(images)))


def write_image_list(path: Path, images: Sequence[Path]) -> None:
    """Write which image has which id in COCO results, a list of ``{"id": …, "file_name": …}``."""
    listed = [{"id": number, "file_name": image.name} for number, image in zip(image_ids(images), images, strict=True)]
    path.write_text(json.dumps(listed, indent=1) + "\n")


def coco_results(poses: FramePoses, skeleton: Skeleton, image: int) -> Iterator[dict[str, Any]]:
    """Describe the people of a frame who have any of COCO's joints as its results: what is not predicted is zero."""
    people = map_keypoints(poses.keypoints, skeleton, get_skeleton("coco-17")).clone()  # it may be the poses themselves
    people[..., :2] = (people[..., :2] - COCO_PIXEL_CENTRE) * (people[..., 2:] > 0)
    for person, score, number in zip(_rounded(people), poses.scores.tolist(), _numbers(poses), strict=True):
        if any(person[2::3]):
            entry = {"image_id": image, "category_id": 1, "keypoints": person, "score": round(score, 4)}
            yield entry if poses.ids is None else entry | {"track_id": number}


@contextmanager
def _coco_file(path: Path, skeleton: Skeleton, ids: Sequence[int]) -> Iterator[Write]:
    """Write COCO results: one entry a person, 17 joints."""
    separator = "["

    def write(number: int, poses: FramePoses) -> None:
        nonlocal separator
        for entry in coco_results(poses, skeleton, ids[number] if ids else number):
            file.write(separator + json.dumps(entry))
            separator = ",\n"

    with path.open("w", encoding="utf-8") as file:
        yield write
        file.write(separator.strip(",\n") + "]\n")


@contextmanager
def _openpose_folder(
    folder: Path, skeleton: Skeleton, wanted: Skeleton, stem: str, images: Sequence[Path]
) -> Iterator[Write]:
    """Write OpenPose's JSON: a file per frame, ``<stem>_<12 digits>_keypoints.json``, or named by its image."""

    def write(number: int, poses: FramePoses) -> None:
        people = _rounded(map_keypoints(poses.keypoints, skeleton, wanted))
        empty: dict[str, list[float]] = {key: [] for key in _OPENPOSE_EMPTY}
        numbered = zip([-1] * len(people) if poses.ids is None else _numbers(poses), people, strict=True)
        listed = [{"person_id": [number], "pose_keypoints_2d": person, **empty} for number, person in numbered]
        name = images[number].stem if images else f"{stem}_{number:012d}"
        text = json.dumps({"version": _OPENPOSE_VERSION, "people": listed})
        (folder / f"{name}_keypoints.json").write_text(text)

    yield write


@contextmanager
def _table_file(path: Path, skeleton: Skeleton, kind: str, images: Sequence[Path]) -> Iterator[Write]:
    """Write a long table: frame, (image,) person, joint, x, y, confidence, score; a row per joint of a person."""
    schema = pa.schema(
        [
            ("frame", pa.int64()), *([("image", pa.string())] if images else []), ("person", pa.int64()),
            ("joint", pa.string()), ("x", pa.float32()), ("y", pa.float32()), ("confidence", pa.float32()),
            ("score", pa.float32()),
        ]
    )  # fmt: skip
    kept: list[tuple[int, FramePoses]] = []

    def write(number: int, poses: FramePoses) -> None:
        kept.append((number, poses))
        if len(kept) == _ROW_FRAMES:
            writer.write_table(_table(kept, skeleton, images, schema))
            kept.clear()

    plain = pa.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    with (
        pa.csv.CSVWriter(str(path), schema, write_options=plain)
        if kind == "csv"
        else pa.parquet.ParquetWriter(str(path), schema)
    ) as writer:
        yield write
        writer.write_table(_table(kept, skeleton, images, schema))


def _table(
    kept: Sequence[tuple[int, FramePoses]], skeleton: Skeleton, images: Sequence[Path], schema: pa.Schema
) -> pa.Table:
    joints = len(skeleton)
    numbers = np.concatenate([np.full(len(p.scores) * joints, n) for n, p in kept] or [np.zeros(0, int)])
    persons = np.concatenate([np.repeat(_numbers(p), joints) for _, p in kept] or [numbers])
    rows = np.concatenate([p.keypoints.numpy().reshape(-1, 3) for _, p in kept] or [np.zeros((0, 3))])
    scores = np.concatenate([p.scores.numpy().repeat(joints) for _, p in kept] or [np.zeros(0)])
    columns = {
        "frame": numbers, "person": persons, "joint": list(skeleton.joints) * (len(rows) // joints),
        **dict(zip(("x", "y", "confidence"), rows.astype(np.float32).round(3).T, strict=True)),
        "score": scores.astype(np.float32).round(4),
    }  # fmt: skip
    if images:
        columns["image"] = [images[number].name for number in numbers]
    return pa.table(columns, schema=schema)


def _numbers(poses: FramePoses) -> list[int]:
    """Number people as they were followed, or else by their places in the frame."""
    return list(range(len(poses.scores))) if poses.ids is None else poses.ids.tolist()


def _rounded(people: Tensor) -> list[list[float]]:
    """Flatten people, shape (people, joints, 3), to lists of numbers with three digits behind the point."""
    flat = people.double().numpy().round(3).reshape(len(people), 3 * people.shape[1])
    return (flat + 0.0).tolist()  # no minus in front of a zero
