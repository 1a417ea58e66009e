from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from pose_oad.errors import UserError
from pose_oad.predictors import StudentPredictor, check_fit, load_predictor
from pose_oad.students import load_student


def test_a_checkpoint_predicts_as_its_student_does(student_checkpoint: Path) -> None:
    predictor = load_predictor(student_checkpoint)
    assert isinstance(predictor, StudentPredictor)
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
    exported = cast("Any", SimpleNamespace(name="a.onnx", fit="squash"))
    check_fit(exported, "fit", "squash")
    with pytest.raises(UserError, match=r"fit=letterbox: expected squash, for which a.onnx was exported"):
        check_fit(exported, "fit", "letterbox")
    with pytest.raises(UserError, match=r"window.fit=crop: expected letterbox or squash"):
        check_fit(cast("Any", SimpleNamespace()), "window.fit", "crop")
