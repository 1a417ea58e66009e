"""Two hundred damaged files: each is used as far as it can be, or refused in one line that names it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from datamodules.coco.index import CocoIndex
from datamodules.coco.views import ValidationPoses
from datamodules.human36m import Human36mSource
from datamodules.human36m.poses import read_poses
from datamodules.stream import WindowLoader
from datamodules.video import VideoFileSource
from datamodules.video.images import decode_image
from datamodules.windowing import StreamOptions
from pose_oad.cli.command import compose_config
from pose_oad.cli.data import main as prepare_data
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.teachers.base import Origin, TeacherRequest
from pose_oad.teachers.coco_results import CocoResultsTeacher
from pose_oad.teachers.onnx import OnnxTeacher
from pose_oad.teachers.openpose.weights import read_caffemodel
from pose_oad.teachers.openpose_json import OpenPoseJsonTeacher
from pose_oad.tracking.errors import UserError
from tests.exports import random_student, write_export
from tests.media import counting_frames, walking_pose, write_cdf, write_full_sequence, write_video
from tests.openpose import write_caffemodel

LIMIT_S = 20  # for one file; reading a sound one takes less than one


class Kind(NamedTuple):
    """A kind of file: how a sound one is written, and how files are read by whoever uses them."""

    write: Callable[[Path], Path]
    read: Callable[[Path], object]


def _write_jpg(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    path = folder / "000000000001.jpg"
    cv2.imwrite(str(path), cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (5, 5), 2))
    return path


def _coco_set() -> dict:
    person = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [10, 12, 2] * 17, "num_keypoints": 17,
              "iscrowd": 0, "area": 500.0, "bbox": [5, 5, 30, 30]}  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(get_skeleton("coco-17").joints), "skeleton": [[1, 2]]}
    image = {"id": 1, "file_name": "000000000001.jpg", "width": 64, "height": 48}
    return {"images": [image], "annotations": [person], "categories": [category]}


def _write_annotations(folder: Path) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    _write_jpg(folder / "images")
    path = folder / "annotations.json"
    path.write_text(json.dumps(_coco_set()))
    return path


def _read_annotations(path: Path) -> object:
    index = CocoIndex(path, path.parent / "images", get_skeleton("body-12"))
    return [ValidationPoses(index, (32, 32), (8, 8))[row] for row in range(len(index.images))], index.ground_truth


def _write_photograph(folder: Path) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "annotations.json").write_text(json.dumps(_coco_set()))
    return _write_jpg(folder / "images")


def _read_photograph(path: Path) -> object:
    decode_image(path)
    return _read_annotations(path.parent.parent / "annotations.json"), _play(VideoFileSource(str(path.parent)))


def _write_openpose_json(folder: Path) -> Path:
    path = folder / "video_000000000000_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": [10.5, 12.25, 0.9] * 25}]}))
    return path


def _read_openpose_json(path: Path) -> object:
    return OpenPoseJsonTeacher(str(path.parent), skeleton="body-25").label(_request())


def _write_results(folder: Path) -> Path:
    path = folder / "results.json"
    rows = [{"image_id": n, "category_id": 1, "keypoints": [10.5, 12.25, 0.9] * 17, "score": 0.5} for n in range(3)]
    path.write_text(json.dumps(rows))
    return path


def _request() -> TeacherRequest:
    origin = Origin("video", Path("video.mp4"), np.arange(1))
    return TeacherRequest(np.arange(1), None, (64, 48), None, origin)


def _write_mp4(folder: Path) -> Path:
    write_video(folder / "video.mp4", counting_frames(40))
    return folder / "video.mp4"


def _play(source: object) -> int:
    return sum(len(window) for window in WindowLoader(source, StreamOptions(16, (32, 32))))  # type: ignore[arg-type]


def _write_cdf(folder: Path) -> Path:
    write_cdf(folder / "pose.cdf", walking_pose(30).reshape(30, 64))
    return folder / "pose.cdf"


def _write_prepared(folder: Path) -> Path:
    write_full_sequence(folder / "tree", "S1", "Walking 1", ["55011271"], 30)
    overrides = ["source=human36m", f"root={folder / 'tree'}", f"human36m.out={folder / 'prepared'}",
                 "human36m.subjects=[S1]", "human36m.cameras=['55011271']", "human36m.frames.size=[32,32]",
                 "workers=0"]  # fmt: skip
    prepare_data(compose_config("data", overrides))
    return next((folder / "prepared").rglob("*.h5"))


def _read_prepared(path: Path) -> int:
    return _play(Human36mSource(str(path.parent.parent), end=1.0))


def _write_onnx(folder: Path) -> Path:
    return write_export(random_student((32, 32)), folder / "student.onnx")


def _read_onnx(path: Path) -> object:
    teacher = OnnxTeacher(str(path), batch_size=1, threads=1)
    images = np.zeros((1, 32, 32, 3), np.uint8)
    return teacher.label(TeacherRequest(np.arange(1), images, (32, 32)))


def _write_checkpoint(folder: Path) -> Path:
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32), sigma=0.04))
    save_student(student, folder / "student.pth")
    return folder / "student.pth"


def _write_caffemodel(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    weights = {
        name: [rng.standard_normal((8, 8, 3, 3), np.float32), np.zeros(8, np.float32)] for name in ("conv1", "conv2")
    }
    return write_caffemodel(folder / "pose.caffemodel", weights)


KINDS = {
    "mp4": Kind(_write_mp4, lambda path: _play(VideoFileSource(str(path)))),
    "cdf": Kind(_write_cdf, read_poses),
    "hdf5": Kind(_write_prepared, _read_prepared),
    "annotations": Kind(_write_annotations, _read_annotations),
    "openpose json": Kind(_write_openpose_json, _read_openpose_json),
    "results": Kind(_write_results, lambda path: CocoResultsTeacher(str(path)).label(_request())),
    "onnx": Kind(_write_onnx, _read_onnx),
    "pth": Kind(_write_checkpoint, load_student),
    "caffemodel": Kind(_write_caffemodel, read_caffemodel),
    "jpg": Kind(_write_photograph, _read_photograph),
}


def damages(sound: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Yield twenty damaged versions of a file: what was done, the bytes, and whether it must be refused."""
    yield "empty", b"", True
    yield "text", b"this is not what you are looking for\n" * 40, True
    yield "zeros", bytes(len(sound)), True
    yield "another type", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, True
    for share in (0.01, 0.1, 0.3, 0.5, 0.8, 0.95):
        yield f"cut to {share:.0%}", sound[: int(share * len(sound))], False
    yield "last byte gone", sound[:-1], False
    rng = np.random.default_rng(1)
    for number in range(9):
        damaged = bytearray(sound)
        # Headers are a small part of a file and the one in which a bit does most harm.
        places = rng.integers(0, min(len(sound), 400) if number % 3 == 0 else len(sound), 1 + number // 3 * 4)
        for place in places:
            damaged[place] ^= 1 << int(rng.integers(8))
        yield f"bits flipped at {places.tolist()}", bytes(damaged), False


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_used_or_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind].write(tmp_path)
    sound = path.read_bytes()
    assert KINDS[kind].read(path) is not None  # a sound file is read
    versions = list(damages(sound))
    assert len(versions) == 20  # ten kinds of them
    refused, failures = 0, []
    for what, content, hopeless in versions:
        path.write_bytes(content)
        try:
            with time_limit(LIMIT_S):
                KINDS[kind].read(path)
        except UserError as error:
            refused += 1
            if path.name not in str(error) or "\n" in str(error):
                failures.append(f"{what}: the message is {error!r}")
        except Exception as error:
            failures.append(f"{what}: {type(error).__name__}: {error}")
        else:
            if hopeless:
                failures.append(f"{what}: taken for a sound file")
    assert not failures, f"{kind}:\n" + "\n".join(failures)
    assert refused >= 4
