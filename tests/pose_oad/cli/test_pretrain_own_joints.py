"""A set of one's own, from its JSON to a student on its joints, an exported file and a table; on five stick animals."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_oad.cli.command import compose_config, plain
from pose_oad.cli.evaluate import main as evaluate
from pose_oad.cli.online import main as play_online
from pose_oad.cli.pretrain import main as pretrain
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.students.exported import ExportedStudent
from pose_oad.tracking.errors import UserError
from tests.exports import write_export

pytestmark = pytest.mark.slow  # real runs of three commands

JOINTS = ["Nose", "Withers", "Tail", "LHoof", "RHoof"]
LIMBS = [[1, 2], [2, 3], [2, 4], [2, 5]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("animals"), np.random.default_rng(0)
    (root / "images").mkdir()
    images, animals = [], []
    for number in range(1, 6):
        points = rng.integers(10, 90, (5, 2))
        picture = np.zeros((100, 100, 3), np.uint8)
        for start, end in LIMBS:
            cv2.line(picture, points[start - 1].tolist(), points[end - 1].tolist(), (200, 220, 240), 3)
        cv2.imwrite(str(root / "images" / f"{number}.png"), picture)
        images.append({"id": number, "file_name": f"{number}.png", "width": 100, "height": 100})
        keypoints = np.concatenate([points, np.full((5, 1), 2)], 1).flatten().tolist()
        animals.append({"id": number, "image_id": number, "category_id": 2, "keypoints": keypoints})
    data = {
        "images": images,
        "annotations": animals,
        "categories": [{"id": 2, "name": "horse", "keypoints": JOINTS, "skeleton": LIMBS}],
    }
    (root / "horses.json").write_text(json.dumps(data))
    return root


@pytest.fixture(scope="module")
def checkpoint(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    overrides = [
        f"data.root={root}", "data.train=horses.json", "data.val=horses.json", "data.workers=0", "data.batch_size=5",
        "student.skeleton=data", "student.head_channels=8", "student.input_size=[64,64]",
        "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.check_val_every_n_epoch=1",
        f"checkpoint.folder={folder}", f"tracking.uri=sqlite:///{folder / 'mlflow.db'}",
        f"tracking.artifacts={folder / 'artifacts'}",
    ]  # fmt: skip
    result = pretrain(compose_config("pretrain", overrides))
    assert 0 <= result.metrics["val/AP"] <= 1
    return result.checkpoint


def test_the_checkpoint_carries_the_joints(checkpoint: Path) -> None:
    skeleton = load_student(checkpoint).skeleton
    assert skeleton.name == "horse-5"
    assert skeleton.joints == ("nose", "withers", "tail", "left_hoof", "right_hoof")
    assert skeleton.limbs == tuple((start - 1, end - 1) for start, end in LIMBS)


def test_a_command_takes_the_checkpoints_own_joints(checkpoint: Path) -> None:
    cfg = compose_config("online", ["student.skeleton=data", "student.head_channels=8"])
    wanted = StudentConfig.from_dict(plain(cfg.student))
    assert load_student(checkpoint, wanted).skeleton.name == "horse-5"


def test_an_exported_file_carries_the_joints(checkpoint: Path, tmp_path: Path) -> None:
    student = load_student(checkpoint)
    assert ExportedStudent(write_export(student, tmp_path / "horse.onnx"), threads=1).skeleton == student.skeleton


def test_it_is_evaluated_on_its_own_joints(root: Path, checkpoint: Path) -> None:
    fixed = [f"checkpoints={checkpoint}", "on=coco", "tracking.uri=null", "threads=1", "coco.split=horses.json"]
    [figures] = evaluate(compose_config("evaluate", [*fixed, f"coco.root={root}"])).values()
    assert 0 <= figures["AP"] <= 1
    assert figures["mpjpe_px"] > 0
    with pytest.raises(UserError, match=r"category=cow: .*horses\.json"):
        evaluate(compose_config("evaluate", [*fixed, f"coco.root={root}", "coco.category=cow"]))


def test_a_student_of_other_joints_is_refused(root: Path, student_checkpoint: Path) -> None:
    overrides = [f"checkpoints={student_checkpoint}", "on=coco", "tracking.uri=null", f"coco.root={root}"]
    with pytest.raises(UserError, match=r"horses\.json: .*nose, withers"):
        evaluate(compose_config("evaluate", [*overrides, "coco.split=horses.json"]))


LEGS = {
    "name": "legs-5",
    "joints": ["left_hip", "right_hip", "left_knee", "right_knee", "tail"],
    "limbs": [["left_hip", "right_hip"], ["left_hip", "left_knee"], ["right_hip", "right_knee"], ["left_hip", "tail"]],
}


@pytest.fixture
def online(human36m_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict], dict[str, float]]:
    """Stream the tiny Human3.6M tree past an untrained student of some joint set."""
    monkeypatch.chdir(tmp_path)

    def run(joint_set: dict) -> dict[str, float]:
        config = StudentConfig("small", "mobilenetv4_conv_small_050", joint_set, (64, 64), head_channels=8, sigma=0.04)
        save_student(build_student(config), tmp_path / "own.ckpt")
        overrides = [
            f"stream.root={human36m_tree}", f"checkpoint={tmp_path / 'own.ckpt'}", "student.skeleton=data",
            "student.input_size=[64,64]", "student.head_channels=8", "window.seconds=null", "window.frames=60",
            "training.epochs=1", "rate=0.05", "trainer.accelerator=cpu", "strategy=random",
            f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
        ]  # fmt: skip
        return play_online(compose_config("online", overrides))

    return run


def test_a_stream_of_other_joints_teaches_what_it_has(
    online: Callable[[dict], dict[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        summary = online(LEGS)
    assert summary["frames"] == 108
    assert summary["mpjpe_px"] > 0
    assert "the ground truth's joint set human36m-32 has no tail; not measured" in caplog.messages


def test_a_stream_without_a_common_joint_is_refused_before_it_is_recorded(
    online: Callable[[dict], dict[str, float]], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"human36m-32 .*hand-2"):
        online({"name": "hand-2", "joints": ["thumb", "index"], "limbs": [["thumb", "index"]]})
    assert [path.name for path in tmp_path.iterdir()] == ["own.ckpt"]
