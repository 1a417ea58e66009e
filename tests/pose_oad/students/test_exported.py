from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.predict.networks import load_predictor
from pose_oad.students.exported import ExportedStudent, ExportMetadata, is_exported
from pose_oad.tracking.errors import UserError
from tests.exports import random_frames, random_student, write_export


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(
        random_student((64, 96)), tmp_path_factory.mktemp("export") / "student.onnx", resize_mode="squash"
    )


def test_it_is_a_predictor_with_the_maps_of_its_student(file: Path) -> None:
    predictor = load_predictor(file, threads=1)
    student, frames = random_student((64, 96)), random_frames(3, (64, 96))
    assert isinstance(predictor, ExportedStudent)
    assert (predictor.input_size, predictor.map_size) == ((64, 96), (16, 24))
    assert predictor.skeleton == student.skeleton
    assert predictor.resize_mode == "squash"
    assert predictor.foreground == student.config.foreground == 5.0
    for found, expected in zip(predictor.maps(frames), student.maps(frames), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_no_frames_give_no_maps(file: Path) -> None:
    maps, fields = ExportedStudent(file, 1).maps(torch.zeros(0, 96, 64, 3, dtype=torch.uint8))
    assert maps.shape == (0, 12, 24, 16)
    assert fields.shape == (0, 12, 2, 24, 16)


@pytest.mark.parametrize("frames", [torch.zeros(1, 64, 96, 3, dtype=torch.uint8), torch.zeros(1, 96, 64, 3)])
def test_other_frames_are_a_mistake(file: Path, frames: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(n, 96, 64, 3\)"):
        ExportedStudent(file, 1).maps(frames)


def test_other_files_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.onnx: "):
        ExportedStudent(tmp_path / "absent.onnx")
    notes = tmp_path / "notes.onnx"
    notes.write_text("notes")
    with pytest.raises(UserError, match=r"notes\.onnx: "):
        ExportedStudent(notes)
    with pytest.raises(UserError, match="threads=0"):
        ExportedStudent(file, threads=0)


def test_a_network_of_somebody_else_is_refused(file: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UserError, match=r"other\.onnx: .*make export"):
        ExportedStudent(tmp_path / "other.onnx")


def test_a_graph_that_is_not_what_it_says_is_refused(file: Path, tmp_path: Path) -> None:
    model = onnx.load(file)
    [size] = [entry for entry in model.metadata_props if entry.key == "pose_oad.input_size"]
    size.value = "[128, 128]"
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(
        UserError, match=r"expected an input frames \[N, 128, 128, 3\].*it has .*\['batch', 96, 64, 3\]"
    ):
        ExportedStudent(tmp_path / "wrong.onnx")


def test_metadata_that_are_no_text_are_refused(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    assert content.count(b"squash") == 1
    (tmp_path / "other.onnx").write_bytes(content.replace(b"squash", b"sq\xff\xfesh"))
    with pytest.raises(UserError, match=r"other\.onnx: "):
        ExportedStudent(tmp_path / "other.onnx")


METADATA = ExportMetadata(
    "small", "resnet18", get_skeleton("body-12"), (128, 96), "squash", 0.05, 5.0, "fp16", "none", "ab" * 32, "0.1.0"
)


def test_what_is_written_is_read_back() -> None:
    strings = METADATA.to_strings()
    assert ExportMetadata.from_strings(strings, "student.onnx") == METADATA
    assert ExportMetadata.from_strings(strings | {"somebody.else": "1"}, "student.onnx") == METADATA


def test_the_strings_can_be_read_without_this_project() -> None:
    own = Skeleton("own", ("left_hip", "left_knee"), ((1, 0),))
    strings = ExportMetadata("a", "b", own, (64, 32), "squash", 0.05, 0.0, "fp32", "int8", "", "1").to_strings()
    assert strings["pose_oad.joints"] == '["left_hip", "left_knee"]'
    assert strings["pose_oad.limbs"] == '[["left_knee", "left_hip"]]'
    assert strings["pose_oad.input_size"] == "[64, 32]"
    assert strings["pose_oad.channels"] == "rgb"
    assert ExportMetadata.from_strings(strings, "file").skeleton == own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pose_oad.format": "7"}, r"x\.onnx: pose_oad\.format=7; expected .* of format 1"),
        ({"pose_oad.joints": "["}, r"x\.onnx: damaged metadata"),
        ({"pose_oad.limbs": '[["left_hip", "tail"]]'}, r"x\.onnx: damaged metadata"),
        ({"pose_oad.input_size": "[64]"}, r"x\.onnx: damaged metadata"),
        ({"pose_oad.input_size": "[1e400, 64]"}, r"x\.onnx: damaged metadata"),
        ({"pose_oad.joints": "[" * 10**5}, r"x\.onnx: damaged metadata"),
    ],
)
def test_other_metadata_are_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ExportMetadata.from_strings(METADATA.to_strings() | change, "x.onnx")


def test_missing_metadata_are_refused() -> None:
    with pytest.raises(UserError, match="make export"):
        ExportMetadata.from_strings({}, "x.onnx")
    strings = METADATA.to_strings()
    del strings["pose_oad.resize_mode"]
    with pytest.raises(UserError, match=r"damaged metadata \('resize_mode'\)"):
        ExportMetadata.from_strings(strings, "x.onnx")


def test_files_that_are_no_networks_have_no_metadata(tmp_path: Path) -> None:
    notes = tmp_path / "notes.onnx"
    notes.write_bytes(b"\xff\xff notes")
    assert not is_exported(notes)
    assert not is_exported(tmp_path / "absent.onnx")
