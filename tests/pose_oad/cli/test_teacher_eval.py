from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pose_oad.cli.command import compose_config
from pose_oad.cli.teacher_eval import main
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.student import CheckpointTeacher
from pose_oad.tracking.errors import UserError
from tests.media import write_sequence


def measure(*overrides: str) -> dict[str, float]:
    return main(compose_config("teacher_eval", ["tracking.uri=null", *overrides]))


def stream_of(root: Path) -> list[str]:
    return ["on=stream", f"stream.root={root}", "stream.end=1.0", "window.frames=16"]


def test_a_perfect_teacher_makes_no_error_and_a_noisy_one_its_noise(tmp_path: Path) -> None:
    write_sequence(tmp_path, "S1", "Walking 1", "55011271", 40)
    perfect = measure("teacher=truth", *stream_of(tmp_path))
    assert perfect["mpjpe_px"] == pytest.approx(0, abs=1e-4)
    assert perfect["detection_rate"] == 1
    assert perfect["frames"] == 40
    # Displacements of sigma along both axes are sigma * sqrt(pi / 2) long on average; 1000 px is the reported width.
    noisy = measure("teacher=truth", "teacher.noise=0.01", *stream_of(tmp_path))
    assert noisy["mpjpe_px"] == pytest.approx(10 * np.sqrt(np.pi / 2), rel=0.1)
    blind = measure("teacher=truth", "teacher.misses=0.5", *stream_of(tmp_path))
    assert blind["detection_rate"] == pytest.approx(0.5, abs=0.05)
    assert blind["mpjpe_px"] == pytest.approx(0, abs=1e-4)


def test_one_frame_in_a_few_is_measured_where_the_teacher_sees_no_more(tmp_path: Path) -> None:
    write_sequence(tmp_path, "S1", "Walking 1", "55011271", 40)
    assert measure("teacher=truth", "teacher.every=3", *stream_of(tmp_path))["frames"] == 14


def test_figures_are_written_and_tracked(tmp_path: Path) -> None:
    write_sequence(tmp_path, "S1", "Walking 1", "55011271", 20)
    store = tmp_path / "mlflow.db"
    figures = measure(
        "teacher=truth", *stream_of(tmp_path), f"output.file={tmp_path / 'figures.json'}",
        f"tracking.uri=sqlite:///{store}", f"tracking.artifacts={tmp_path / 'artifacts'}",
    )  # fmt: skip
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["teacher"] == "truth"
    assert written["figures"]["mpjpe_px"] == figures["mpjpe_px"]
    with sqlite3.connect(store) as base:
        logged = dict(base.execute("select key, value from metrics"))
    assert logged["final/detection_rate"] == 1.0
    with pytest.raises(UserError, match=r"output\.file=.*overwrite=true"):
        measure("teacher=truth", *stream_of(tmp_path), f"output.file={tmp_path / 'figures.json'}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["on=video"], r"on=video: expected stream or coco"),
        (["teacher=truth", "metric.undetected_joints=argmax"], r"metric\.undetected_joints=argmax"),
        (["teacher=truth", "teacher.every=0"], r"teacher\.every=0"),
        (["teacher=truth", "window.frames=0"], r"window\.frames=0"),
        (["on=coco", "coco.missing_images=ask"], r"coco\.missing_images=ask"),
        (["on=coco", "coco.images=0"], r"coco\.images=0"),
        (["on=coco", "coco.root=.", "teacher=onnx"], r"teacher\.path=None"),
    ],
)
def test_refusals(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        measure(*overrides)


@pytest.mark.parametrize("undetected", ["argmax", "ignore"])
def test_a_teacher_has_no_location_for_what_it_does_not_find(undetected: str) -> None:
    with pytest.raises(UserError, match=f"metric.undetected_joints={undetected}: expected drop or penalty or zero"):
        measure("teacher=truth", f"metric.undetected_joints={undetected}")


def test_a_set_that_is_not_there_is_named(tmp_path: Path, student_checkpoint: Path) -> None:
    with pytest.raises(UserError, match=r"coco\.root="):
        measure("on=coco", "teacher=checkpoint", f"teacher.path={student_checkpoint}", f"coco.root={tmp_path / 'no'}")


def test_an_output_that_is_no_file_is_refused() -> None:
    with pytest.raises(UserError, match=r"output\.file=5: expected text"):
        measure("teacher=truth", "output.file=5")


PHOTOGRAPHS = ["on=coco", "coco.split=person_keypoints.json"]


def test_a_student_is_measured_on_photographs(real_data: Path, student_checkpoint: Path) -> None:
    checkpoint = ["teacher=checkpoint", f"teacher.path={student_checkpoint}"]
    figures = measure(*PHOTOGRAPHS, f"coco.root={real_data / 'coco'}", "coco.images=3", *checkpoint)
    assert figures["frames"] == 3
    assert 0 <= figures["AP"] <= 1


def test_kept_labels_are_those_of_the_image_in_whatever_list_it_stands(
    tmp_path: Path, student_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_coco(tmp_path)
    asked: list[np.ndarray] = []
    look = CheckpointTeacher.label

    def label(self: CheckpointTeacher, request: TeacherRequest) -> Labels:
        asked.append(np.asarray(request.images))
        return look(self, request)

    monkeypatch.setattr(CheckpointTeacher, "label", label)
    options = ["on=coco", f"coco.root={root}", "coco.image_folder=images", f"label_cache={tmp_path / 'labels'}",
               "teacher=checkpoint", f"teacher.path={student_checkpoint}"]  # fmt: skip
    for split in ("one", "two", "both"):
        measure(*options, f"coco.split={split}.json")
    # The first image of the second list is not the first image of the first, though both are number 0.
    assert [images.mean().round() for images in asked] == [10, 200]


def write_coco(root: Path) -> Path:
    """Write two grey images of one size, a list of each, and one of both."""
    (root / "images" / "more").mkdir(parents=True)
    images, people = [], []
    for number, (name, grey) in enumerate({"more/a.png": 10, "a.png": 200}.items(), 1):
        Image.new("RGB", (64, 48), (grey,) * 3).save(root / "images" / name)
        images.append({"id": number, "file_name": name, "width": 64, "height": 48})
        people.append({
            "id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 400, "bbox": [10, 10, 20, 20],
            "keypoints": [20, 20, 2] * 17, "num_keypoints": 17,
        })  # fmt: skip
    joints = get_skeleton("coco-17").joints
    categories = [{"id": 1, "name": "person", "keypoints": list(joints), "skeleton": []}]
    for name, part in {"one": slice(0, 1), "two": slice(1, 2), "both": slice(0, 2)}.items():
        content = {"images": images[part], "annotations": people[part], "categories": categories}
        (root / f"{name}.json").write_text(json.dumps(content))
    return root


@pytest.mark.slow
def test_the_real_teacher_reaches_its_precision_and_is_asked_once(tmp_path: Path, real_data: Path) -> None:
    path = real_data / "teacher" / "human-pose-estimation-0001.onnx"
    options = [
        *PHOTOGRAPHS, f"coco.root={real_data / 'coco'}", "teacher=onnx", f"teacher.path={path}", "teacher.height=368",
        f"label_cache={tmp_path / 'labels'}",
    ]  # fmt: skip
    first = measure(*options)
    assert first["frames"] == 37
    assert first["AP"] >= 0.36
    again = measure(*options)
    assert again["AP"] == first["AP"]
    assert again["seconds_per_frame"] < first["seconds_per_frame"] / 2
