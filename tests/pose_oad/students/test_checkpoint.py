from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pose_oad.cli.command import compose_config, default_weights, plain
from pose_oad.students import PoseStudent, StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import UserError

CONFIG = StudentConfig("tiny", "mobilenetv4_conv_small_050", head_channels=16, input_size=(64, 64))


@pytest.fixture
def student() -> PoseStudent:
    torch.manual_seed(0)
    return build_student(CONFIG).eval()


def _saved(student: PoseStudent, path: Path, **changes: Any) -> Path:
    state = {f"student.{name}": value for name, value in student.state_dict().items()}
    torch.save({"hyper_parameters": {"student": CONFIG.to_dict()}, "state_dict": state, **changes}, path)
    return path


def test_a_saved_student_predicts_the_same(student: PoseStudent, tmp_path: Path) -> None:
    loaded = load_student(_saved(student, tmp_path / "a.ckpt"), CONFIG)
    images = torch.randn(1, 3, 64, 64)
    assert loaded.config == CONFIG
    assert not loaded.training
    for one, two in zip(student(images), loaded(images), strict=True):
        assert torch.equal(one, two)


def test_name_and_origin_of_the_weights_do_not_matter(student: PoseStudent, tmp_path: Path) -> None:
    wanted = StudentConfig.from_dict(CONFIG.to_dict() | {"name": "other", "pretrained": True})
    assert load_student(_saved(student, tmp_path / "a.ckpt"), wanted).config == CONFIG


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("backbone", "resnet18", "holds backbone=mobilenetv4_conv_small_050; expected backbone=resnet18"),
        ("head_channels", 32, "holds head_channels=16; expected head_channels=32"),
        ("skeleton", "coco-17", "holds skeleton=body-12; expected skeleton=coco-17"),
    ],
)
def test_another_architecture_is_refused(
    student: PoseStudent, tmp_path: Path, key: str, value: object, said: str
) -> None:
    path = _saved(student, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=f"a.ckpt: {said}"):
        load_student(path, StudentConfig.from_dict(CONFIG.to_dict() | {key: value}))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.ckpt: "):
        load_student(tmp_path / "none.ckpt")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 half a zip"])
def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.ckpt: damaged"):
        load_student(path)


def test_a_truncated_file_is_refused(student: PoseStudent, tmp_path: Path) -> None:
    path = _saved(student, tmp_path / "cut.ckpt")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"cut\.ckpt: damaged"):
        load_student(path)


class _Payload:
    """Anything beyond tensors and plain values."""


def test_nothing_but_plain_values_is_unpickled(student: PoseStudent, tmp_path: Path) -> None:
    path = _saved(student, tmp_path / "evil.ckpt", extra=_Payload())
    with pytest.raises(UserError, match=r"evil\.ckpt: damaged"):
        load_student(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state_dict": None}, "no state_dict"),
        ({"hyper_parameters": {}}, "student"),
        ({"hyper_parameters": {"student": {"name": "x"}}}, "student.backbone: missing"),
        ({"state_dict": {"student.out": torch.zeros(1)}}, "tensors"),
    ],
)
def test_files_of_others_are_refused(student: PoseStudent, tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(UserError, match=f"foreign.ckpt: .*{said}"):
        load_student(_saved(student, tmp_path / "foreign.ckpt", **changes))


def test_the_same_weights_serve_another_input_size(student: PoseStudent, tmp_path: Path) -> None:
    path = _saved(student, tmp_path / "a.ckpt")
    wanted = replace(student.config, input_size=(96, 96))
    loaded = load_student(path, wanted)
    assert loaded.input_size == (96, 96)
    assert loaded(torch.zeros(1, 3, 96, 96))[0].shape[-2:] == (24, 24)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), student.parameters(), strict=True))


def test_a_student_written_without_a_trainer_is_read_back(tmp_path: Path) -> None:
    student = build_student(replace(CONFIG, input_size=(64, 32)))
    path = tmp_path / "new" / "student.ckpt"
    save_student(student, path)
    assert [file.name for file in path.parent.iterdir()] == ["student.ckpt"]
    loaded = load_student(path)
    assert loaded.config == student.config
    for key, value in student.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


def test_a_place_that_cannot_be_written_is_named(student: PoseStudent, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r".*file/student\.ckpt: cannot be written"):
        save_student(student, tmp_path / "file" / "student.ckpt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(student: PoseStudent, tmp_path: Path, value: float) -> None:
    save_student(student, tmp_path / "good.ckpt")
    contents = torch.load(tmp_path / "good.ckpt", weights_only=True)
    contents["state_dict"]["student.head.out.weight"][0, 0] = value
    torch.save(contents, tmp_path / "bad.ckpt")
    with pytest.raises(UserError, match=r"bad\.ckpt: .*finite"):
        load_student(tmp_path / "bad.ckpt")


def test_safetensors_hold_the_same_student(student: PoseStudent, tmp_path: Path) -> None:
    save_student(student, tmp_path / "a.safetensors")
    loaded = load_student(tmp_path / "a.safetensors", CONFIG)
    assert loaded.config == CONFIG
    for key, value in student.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_file_of_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.safetensors: "):
        load_student(path)


def test_the_weights_that_ship_are_those_of_the_default_student() -> None:
    cfg = compose_config("online")
    path = Path(cfg.checkpoint)
    assert path.stat().st_size <= 8e6
    student = load_student(path, StudentConfig.from_dict(plain(cfg.student)))
    assert sum(parameter.numel() for parameter in student.parameters()) <= 2e6
    assert student.config.input_size == tuple(cfg.student.input_size)
    assert student.foreground > 0


def test_a_student_without_weights_of_its_own_starts_from_its_pre_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compose_config("finetune", ["student=resnet18"]).checkpoint == "checkpoints/resnet18/best.ckpt"
    monkeypatch.chdir(tmp_path)
    assert Path(default_weights("small")).is_absolute()
