from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from pose_oad.predict.networks import choose_resize_mode, laid_alike, load_predictor
from pose_oad.students import PoseStudent, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import UserError
from tests.trt_pose import write_reference

SHAPES = ((8, "squash"), (16, "squash"), (8, "letterbox"))


def test_a_checkpoint_predicts_as_its_student_does(student_checkpoint: Path) -> None:
    predictor = load_predictor(student_checkpoint)
    assert isinstance(predictor, PoseStudent)
    assert (predictor.input_size, predictor.map_size, len(predictor.skeleton)) == ((64, 64), (16, 16), 12)
    assert predictor.name == f"{student_checkpoint.parent.name}/best"
    frames = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    student = load_student(student_checkpoint)
    with torch.no_grad():
        expected = student(student.normalise(frames))
    for part, wanted in zip(predictor.maps(frames), expected, strict=True):
        torch.testing.assert_close(part, wanted)
        assert not part.requires_grad


@pytest.mark.parametrize(
    ("path", "device", "message"),
    [
        ("student.pt", "cpu", "checkpoint=student.pt: expected a checkpoint"),
        ("nowhere.ckpt", "cpu", "nowhere.ckpt: no such file"),
        ("nowhere.onnx", "cpu", "nowhere.onnx"),
        (None, "toaster", "device=toaster: expected a torch device"),
    ],
)
def test_what_cannot_be_loaded_is_named(student_checkpoint: Path, path: str, device: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_predictor(path or student_checkpoint, device)


def test_an_exported_network_says_how_frames_lie_in_it() -> None:
    exported = cast("Any", SimpleNamespace(name="a.onnx", resize_mode="squash"))
    assert (
        choose_resize_mode(exported, "resize_mode", "squash")
        == choose_resize_mode(exported, "resize_mode", None)
        == "squash"
    )
    with pytest.raises(UserError, match=r"resize_mode=letterbox: expected squash"):
        choose_resize_mode(exported, "resize_mode", "letterbox")
    with pytest.raises(UserError, match=r"window.resize_mode=crop: expected letterbox or squash"):
        choose_resize_mode(exported, "window.resize_mode", "crop")


def test_a_checkpoint_says_how_frames_lie_in_it_unless_told(tmp_path: Path, student_checkpoint: Path) -> None:
    assert load_predictor(student_checkpoint).resize_mode == "letterbox"
    student = load_student(student_checkpoint)
    save_student(build_student(replace(student.config, resize_mode="squash")), tmp_path / "squashed.ckpt")
    predictor = load_predictor(tmp_path / "squashed.ckpt")
    assert choose_resize_mode(predictor, "resize_mode", None) == "squash"
    assert choose_resize_mode(predictor, "resize_mode", "letterbox") == "letterbox"


def test_the_weights_of_trt_pose_are_a_checkpoint(tmp_path: Path) -> None:
    predictor = load_predictor(write_reference(tmp_path, "resnet18"))
    assert (predictor.skeleton.name, predictor.input_size, predictor.resize_mode) == (
        "trt-pose-18",
        (224, 224),
        "squash",
    )


def test_networks_are_grouped_by_what_they_share() -> None:
    a, b, c = (
        cast("Any", SimpleNamespace(input_size=(size, size), resize_mode=resize_mode)) for size, resize_mode in SHAPES
    )
    assert laid_alike({"a": a, "b": b, "c": c}, "resize_mode", None) == [
        ("squash", {"a": a, "b": b}),
        ("letterbox", {"c": c}),
    ]
    grouped = laid_alike({"a": a, "b": b, "c": c}, "resize_mode", None, "input_size")
    assert [list(group) for _, group in grouped] == [["a"], ["b"], ["c"]]
