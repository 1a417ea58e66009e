"""Make the whole synthetic world: plan, split over processes, write both trees, put them in place in one step.

An interrupted run never looks complete: everything is written into ``<root>.partial`` and renamed at the end, together
with ``world.json``, which records the parameters. A lock beside the root keeps two runs apart.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
from pydantic import Field

from datamodules.synthetic.camera import HUMAN36M_INTRINSICS
from datamodules.synthetic.coco_writer import Photograph, take_photograph
from datamodules.synthetic.contact_sheet import write_contact_sheet
from datamodules.synthetic.human36m_writer import Sequence, write_sequence
from datamodules.synthetic.plan import Recordings, human36m_sequences, photographs
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.locks import holding

#: Raised whenever the same parameters would give other files.
VERSION = 5
MARKER = "world.json"
SPLITS = ("train2017", "val2017")
_PHOTOGRAPHS_PER_TASK = 20

#: Called with the number of finished tasks and the number of all tasks.
Progress = Callable[[int, int], None]

_Images = Annotated[int, Field(ge=0, le=10**6)]
_RECORDED = (
    Recordings("S1", 30, 150), Recordings("S5", 3, 150), Recordings("S9", 3, 150), Recordings("S11", 1, 1500)
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Parameters of the synthetic world; the same parameters give the same annotations, byte for byte.

    Attributes:
        seed: everything random follows from it
        train_images: photographs of ``train2017``
        val_images: photographs of ``val2017``
        image_size: longer side of the largest photographs, px
        recordings: who is recorded how often for how long
        frame_size: width of the videos, px
        cameras: camera numbers to record with
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    train_images: _Images = 1200
    val_images: _Images = 120
    image_size: Annotated[int, Field(ge=64, le=4000)] = 320
    recordings: tuple[Recordings, ...] = _RECORDED
    frame_size: Annotated[int, Field(ge=64, le=4000, multiple_of=2)] = 256  # H.264 needs an even width
    cameras: tuple[str, ...] = ("54138969", "55011271")

    def __post_init__(self) -> None:
        known = 0 < len(set(self.cameras)) == len(self.cameras) and set(self.cameras) <= set(HUMAN36M_INTRINSICS)
        takes = {
            one.subject: sum(r.takes for r in self.recordings if r.subject == one.subject) for one in self.recordings
        }
        check(all(count <= 30 for count in takes.values()), "recordings", takes, "at most 30 takes of a subject")
        some = bool(self.recordings or self.train_images or self.val_images)
        check(some, "recordings", [], "one or more where train_images and val_images are 0")
        check(known, "cameras", list(self.cameras), f"some of {', '.join(HUMAN36M_INTRINSICS)}, each once")


def generate(
    world: World, root: Path, workers: int = 2, overwrite: bool = False, progress: Progress | None = None
) -> bool:
    """Make the world at ``root`` unless it is there already.

    Args:
        world: its parameters
        root: the folder that will hold ``coco``, ``human36m``, ``contact_sheet.png`` and the record of the parameters
        workers: processes; 0 works in this one. The result does not depend on it
        overwrite: whether a world of other parameters may be replaced
        progress: told how far the work is

    Returns:
        whether anything was made; false if the same world was there.

    Raises:
        UserError: if the root holds something else, or a world of other parameters and ``overwrite`` is false.
    """
    root = root.absolute()
    with holding(root, wait=True):
        if _is_made(world, root, overwrite):
            return False
        partial = root.with_name(root.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            _make(world, partial, workers, progress or (lambda done, total: None))
            write_contact_sheet(partial)
            (partial / MARKER).write_text(json.dumps(_record(world), indent=1) + "\n")
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)  # where the disk is full, it is what fills it
            raise
        old = root.with_name(root.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if root.exists():
            root.rename(old)
        partial.rename(root)
        shutil.rmtree(old, ignore_errors=True)
    return True


def _record(world: World) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(asdict(world)))
    return {"version": VERSION, **values}


def _is_made(world: World, root: Path, overwrite: bool) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    marker = root / MARKER
    if not marker.is_file():
        raise UserError(f"root={root}: expected a folder that does not exist yet, is empty, or holds {MARKER}")
    found, wanted = json.loads(marker.read_text()), _record(world)
    if found == wanted:
        return True
    changed = [f"{key}={found.get(key)}" for key in wanted if found.get(key) != wanted[key]]
    if not overwrite:
        raise UserError(
            f"root={root}: holds a world made with {', '.join(changed)}; "
            "expected the same parameters, another root, or overwrite=true"
        )
    return False


def _make(world: World, root: Path, workers: int, progress: Progress) -> None:
    """Run all tasks, in this process or in others, and collect the annotations."""
    tasks: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
    for sequence in human36m_sequences(world.recordings, world.seed, world.frame_size):
        tasks += [(_record_sequence, (root / "human36m", sequence, camera)) for camera in world.cameras]
    for split, count in zip(SPLITS, (world.train_images, world.val_images), strict=True):
        pictures = photographs(world.seed, split, count, world.image_size)
        for first in range(0, count, _PHOTOGRAPHS_PER_TASK):
            tasks.append((_photograph, (root / "coco" / split, pictures[first : first + _PHOTOGRAPHS_PER_TASK])))
    results: list[Any] = [None] * len(tasks)
    if workers == 0:
        for index, (function, arguments) in enumerate(tasks):
            results[index] = function(*arguments)
            progress(index + 1, len(tasks))
    else:
        # Fresh processes: a fork would copy the threads' locks of libraries that this process may have loaded.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _single_threaded) as pool:
            futures: dict[Future[Any], int] = {pool.submit(f, *a): index for index, (f, a) in enumerate(tasks)}
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    results[futures[future]] = future.result()
                    progress(done, len(tasks))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    for split in SPLITS if world.train_images + world.val_images else ():
        entries = [pair for result in results if result and result[0] == split for pair in result[1]]
        _write_annotations(root / "coco" / "annotations" / f"person_keypoints_{split}.json", entries)


def _single_threaded() -> None:
    cv2.setNumThreads(1)  # the processes share the cores already


def _record_sequence(root: Path, sequence: Sequence, camera: str) -> None:
    write_sequence(root, sequence, camera)


def _photograph(
    folder: Path, pictures: list[Photograph]
) -> tuple[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]]:
    return folder.name, [take_photograph(folder, picture) for picture in pictures]


def _write_annotations(path: Path, entries: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> None:
    """Write a COCO keypoint file; annotations are numbered in the order of the pictures."""
    skeleton = get_skeleton("coco-17")
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
    }
    annotations = [annotation for _, found in entries for annotation in found]
    content = {
        "info": {"description": "synthetic people", "version": str(VERSION)},
        "licenses": [],
        "images": [image for image, _ in entries],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, 1)],
        "categories": [category],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(content, separators=(",", ":")))
    partial.replace(path)
