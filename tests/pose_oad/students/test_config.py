"""What a student's description says of its joints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import RefusedError, UserError

HORSE = {"name": "horse-3", "joints": ["withers", "tail", "nose"], "limbs": [["withers", "tail"], ["nose", "withers"]]}


def _config(skeleton: object) -> StudentConfig:
    return StudentConfig("small", "mobilenetv4_conv_small_050", skeleton, (64, 64), head_channels=8)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("horse") / "best.ckpt"
    save_student(build_student(_config(HORSE)), path)
    return path


@pytest.mark.parametrize("skeleton", ["body-12", "data", HORSE])
def test_plain_values_are_read_back(skeleton: object) -> None:
    config = _config(skeleton)
    assert StudentConfig.from_dict(config.to_dict()) == config


def test_a_checkpoint_carries_its_joints(checkpoint: Path) -> None:
    student = load_student(checkpoint)
    assert student.skeleton.joints == ("withers", "tail", "nose")
    assert student.skeleton.limb_names == (("withers", "tail"), ("nose", "withers"))
    cmaps, pafs = student(student.normalise(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)))
    assert (cmaps.shape, pafs.shape) == ((1, 3, 16, 16), (1, 2, 2, 16, 16))


def test_data_means_the_checkpoints_own(checkpoint: Path) -> None:
    assert load_student(checkpoint, _config("data")).skeleton.name == "horse-3"
    assert load_student(checkpoint, _config({**HORSE, "name": "pony"})).skeleton.name == "horse-3"  # the same maps
    with pytest.raises(UserError, match="expected skeleton=body-12"):
        load_student(checkpoint, _config("body-12"))
    with pytest.raises(UserError, match="holds skeleton="):
        load_student(checkpoint, _config({**HORSE, "limbs": HORSE["limbs"][:1]}))


@pytest.mark.parametrize(
    ("skeleton", "said"),
    [
        ("coco17", "did you mean 'coco-17'"),
        ({**HORSE, "limbs": []}, r"skeleton=horse-3: "),
        ({**HORSE, "limbs": [["withers", "mane"]]}, r"skeleton\.limbs=\['withers', 'mane'\]"),
    ],
)
def test_joint_sets_that_no_network_can_have_are_refused(skeleton: object, said: str) -> None:
    with pytest.raises((UserError, RefusedError), match=said):
        _config(skeleton)


def test_a_network_needs_a_joint_set() -> None:
    with pytest.raises(UserError, match="skeleton=data: "):
        build_student(_config("data"))
