from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image

from pose_oad.api import Student
from pose_oad.cli.command import compose_config
from pose_oad.cli.predict import main
from pose_oad.predict.keypoint_files import make_writer
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames, write_video
from tests.networks import PEOPLE, SEER

DARK = np.zeros((128, 128, 3), np.uint8)


def test_an_image_in_memory_gives_people_with_boxes_and_scores() -> None:
    poses = Student(SEER).predict(DARK)
    assert (len(poses), poses.keypoints.shape, poses.scores.shape) == (2, (2, 12, 3), (2,))
    assert poses.ids.tolist() == [0, 1]
    order = poses.keypoints[:, 0, 0].argsort()
    np.testing.assert_allclose(poses.keypoints[order, :, :2], 2 * PEOPLE[..., :2], atol=0.6)
    np.testing.assert_allclose(poses.boxes()[order], [[20, 12, 44, 112], [80, 12, 104, 112]], atol=1)
    assert not poses.boxes(threshold=1.1).any()
    image = poses.plot()
    assert image.size == (128, 128)
    assert image.getpixel((22, 32)) != (0, 0, 0)  # between two joints of the first one's right side
    same = Student(SEER).predict(Image.fromarray(DARK).convert("L"))
    np.testing.assert_array_equal(same.keypoints, poses.keypoints)


def test_a_video_gives_its_people_by_frame_and_what_the_command_writes(tmp_path: Path) -> None:
    write_video(tmp_path / "my.mp4", counting_frames(6))
    poses = Student(SEER).predict(tmp_path / "my.mp4", limit=5, batch_size=4)
    assert poses.numbers.tolist() == [0, 0, 1, 2, 3, 4, 4]  # each batch begins with two people
    assert [len(one) for one in poses] == [2, 1, 1, 1, 2]
    assert poses.of(4).keypoints.shape == (2, 12, 3)
    assert poses.plot(3).size == (64, 64)
    assert len(pickle.loads(pickle.dumps(poses))) == 7
    with make_writer("coco", tmp_path / "a.json", tmp_path / "a.json", poses.skeleton, [], "", "") as write:
        for number, found in poses.frames.items():
            write(number, found)
    assert poses.to_coco() == json.loads((tmp_path / "a.json").read_text())
    with pytest.raises(UserError, match=r"frame=7: .* 0 to 4"):
        poses.of(7)


def test_a_student_is_found_by_its_name_its_file_or_its_run(
    student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "student.ckpt").symlink_to(student_checkpoint)
    assert Student.load(tmp_path / "run").network.input_size == (64, 64)
    assert repr(Student.load("small")).endswith("body-12, 160 x 160 px)")
    with pytest.raises(UserError, match=r"checkpoints/resnet18/best.ckpt.*make pretrain STUDENT=resnet18"):
        Student.load("resnet18")
    student = Student.load(student_checkpoint)
    cv2.imwrite("a.png", np.full((40, 50, 3), 90, np.uint8))
    poses = student.predict("a.png", people="single")
    main(compose_config("predict", [f"checkpoint={student_checkpoint}", "source=a.png", "people=single", "threads=1",
                                    "output.keypoints=a.json"]))  # fmt: skip
    assert poses.to_coco() == json.loads(Path("a.json").read_text())


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (DARK.astype(float), {}, r"source=float64\[128, 128, 3\]"),
        (DARK[..., 0], {}, r"source=uint8\[128, 128\]"),
        ("nowhere.mp4", {}, "source=nowhere.mp4"),
        (DARK, {"people": "two"}, "people=two"),
        (DARK, {"limit": 0}, "limit=0"),
        (DARK, {"batch_size": 0}, "batch_size=0"),
    ],
)
def test_mistakes_are_named(source: object, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Student(SEER).predict(source, **options)  # type: ignore[arg-type]


def test_supervision_gets_what_it_reads_or_is_named_where_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    poses = Student(SEER).predict(np.stack([DARK] * 2))
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match=r"pose_oad\[supervision\]"):
        poses.to_supervision()
    library = ModuleType("supervision")
    library.KeyPoints = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", library)
    given: dict = poses.to_supervision()  # type: ignore[assignment]
    assert (given["xy"].shape, given["keypoint_confidence"].shape) == ((3, 12, 2), (3, 12))
    assert given["data"]["frame"].tolist() == [0, 0, 1]
    assert given["data"]["tracker_id"].tolist()[0] != given["data"]["tracker_id"].tolist()[1]
    assert len(given["class_id"]) == len(given["detection_confidence"]) == 3
