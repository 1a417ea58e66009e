from __future__ import annotations

from pathlib import Path

import pytest

from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students.onnx_metadata import ExportMetadata, is_exported
from pose_oad.tracking.errors import UserError

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
    with pytest.raises(UserError, match="no metadata of this project"):
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
