from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pose_oad.cli import export
from pose_oad.cli.command import compose_config
from pose_oad.export import graph, trt_pose
from pose_oad.export.report import ExportReport
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.students.exported import ExportedStudent
from pose_oad.students.trt_pose import to_trt_pose
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.store import file_hash
from tests.conftest import ROOT
from tests.media import counting_frames, write_video
from tests.trt_pose import reference


@pytest.fixture
def configured(human36m_tree: Path, student_checkpoint: Path, tmp_path: Path):
    """Compose an export of a tiny student on a tiny tree, which measures little."""

    def compose(*overrides: str):
        own = [
            f"checkpoint={student_checkpoint}", f"output.file={tmp_path}/new/a.onnx", "parity.frames=6",
            "errors.frames=20", "latency.repeats=2", "latency.warmup=0", "latency.batch_size=2", "latency.compile_s=0",
        ]  # fmt: skip
        if "stream=video" not in overrides:
            own += [f"stream.root={human36m_tree}", "stream.shuffle=false"]
        return compose_config("export", [*own, *overrides])

    return compose


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "new").glob("*")) + sorted(
        path.name for path in (tmp_path / "new").glob(".*")
    )


def test_a_file_and_what_was_measured(
    configured, tmp_path: Path, student_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report: ExportReport = export.main(configured("threads=1"))
    assert left(tmp_path) == ["a.json", "a.onnx"]
    assert report.parity.frames == 6
    assert report.parity.largest < 1e-5
    assert report.frames_from == "S1/Eating 2.55011271"
    assert report.errors is not None
    assert report.errors["exported"]["mpjpe_px"] == pytest.approx(report.errors["eager"]["mpjpe_px"], abs=0.1)
    assert report.errors_note == "one frame in 5 of 108, in 3 videos"
    assert [(row.runner, row.batch) for row in report.latency] == [
        ("eager", 1), ("eager", 2), ("onnxruntime", 1), ("onnxruntime", 2)
    ]  # fmt: skip
    metadata = ExportedStudent(tmp_path / "new" / "a.onnx").config
    assert metadata.checkpoint_sha256 == file_hash(student_checkpoint)
    assert (metadata.input_size, metadata.resize_mode, metadata.sigma) == ((64, 64), "letterbox", 0.04)
    written = json.loads((tmp_path / "new" / "a.json").read_text())
    assert written["sha256"] == file_hash(tmp_path / "new" / "a.onnx")
    assert written["metadata"]["pose_oad.joints"].startswith('["left_shoulder"')
    assert written["threads"] == 1
    shown = capsys.readouterr().out
    assert "time per call, 1 thread" in shown
    assert "onnxruntime" in shown


def test_size_resize_mode_precision_and_quantisation(configured, tmp_path: Path) -> None:
    report = export.main(configured("input_size=[96,64]", "resize_mode=squash", "precision=fp16", "errors.frames=0"))
    exported = ExportedStudent(tmp_path / "new" / "a.onnx")
    assert (exported.input_size, exported.resize_mode, exported.config.precision) == ((96, 64), "squash", "fp16")
    assert report.errors is None
    assert report.errors_note == "not measured (errors.frames=0)"

    report = export.main(configured("quantise=int8"))
    assert report.quantised is not None
    assert report.quantised[0] > 20
    assert report.errors is not None
    assert set(report.errors) == {"eager", "exported"}
    assert left(tmp_path) == ["a.json", "a.onnx"]


def test_a_video_has_no_ground_truth(configured, tmp_path: Path) -> None:
    write_video(tmp_path / "my.mp4", counting_frames(12, 48))
    report = export.main(configured("stream=video", f"stream.path={tmp_path}/my.mp4", "parity.frames=100"))
    assert report.parity.frames == 12
    assert report.errors_note == "not measured: this stream has no ground truth"


def test_nothing_is_written_if_the_maps_differ(
    configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export.main(configured())
    kept = (tmp_path / "new" / "a.onnx").read_bytes()
    forward = graph._ExportedGraph.forward

    def wrong(self: graph._ExportedGraph, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps, fields = forward(self, frames)
        return maps + 0.01, fields

    monkeypatch.setattr(graph._ExportedGraph, "forward", wrong)
    with pytest.raises(UserError, match=r"parity\.tolerance=0\.0001: .* 1\.0e-02 on 6 frames"):
        export.main(configured())
    assert left(tmp_path) == ["a.json", "a.onnx"]
    assert (tmp_path / "new" / "a.onnx").read_bytes() == kept


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("output.file=null", r"output\.file=None: .*student\.onnx"),
        ("output.file=student.pt", r"output\.file=student\.pt: .*student\.onnx"),
        ("quantise=int4", "quantise=int4: expected int8, or null"),
        ("resize_mode=stretch", "resize_mode=stretch: expected letterbox or squash"),
        ("opset=3", "opset=3: expected .*17, .*20"),
        ("precision=bf16", "precision=bf16: expected fp32 or fp16"),
        ("latency.repeats=0", r"latency\.repeats=0: expected .*at least 1"),
        ("parity.tolerance=-1", r"parity\.tolerance=-1: expected .*at least 0"),
        ("input_size=[60,64]", r"student\.input_size=\[60, 64\]: expected multiples of 32"),
        ("checkpoint=absent.ckpt", r"checkpoint absent\.ckpt: "),
        ("stream.root=absent", r"stream\.root=absent: "),
    ],
)
def test_bad_values_are_named_and_leave_nothing(configured, tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        export.main(configured(override))
    assert not (tmp_path / "new").exists() or left(tmp_path) == []


def test_half_precision_and_quantisation_exclude_each_other(configured) -> None:
    with pytest.raises(UserError, match=r"precision=fp16: expected fp32 where quantise=int8"):
        export.main(configured("precision=fp16", "quantise=int8"))


def test_a_place_that_cannot_be_written_is_named(configured, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"output\.file=.*file/a\.onnx: "):
        export.main(configured(f"output.file={tmp_path}/file/a.onnx"))


@pytest.mark.slow
def test_the_command_line_answers_a_mistake_with_exit_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pose_oad.cli", "export", "checkpoint=absent.ckpt", f"output.file={tmp_path}/a.onnx"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: checkpoint absent.ckpt: no such file")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def attention_checkpoint(tmp_path: Path) -> Path:
    """A student with trt_pose's design, but a joint set of ours."""
    torch.manual_seed(0)
    config = StudentConfig(
        "mine", "resnet18", input_size=(64, 64), head="attention", head_channels=256, resize_mode="squash"
    )
    save_student(build_student(config), tmp_path / "attention.ckpt")
    return tmp_path / "attention.ckpt"


def test_trt_poses_weights_and_their_topology(configured, tmp_path: Path, attention_checkpoint: Path) -> None:
    file = tmp_path / "new" / "a.pth"
    report = export.main(configured(f"checkpoint={attention_checkpoint}", f"output.file={file}"))
    assert left(tmp_path) == ["a.pth", "a.topology.json"]
    assert (report.skeleton.name, report.resize_mode, report.parity.frames) == ("body-12", "squash", 6)
    assert report.parity.largest < 1e-5
    network = reference("resnet18", joints=12, limbs=12)
    network.load_state_dict(torch.load(file, weights_only=True))
    student = load_student(attention_checkpoint)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[0], student(images)[0], rtol=0, atol=1e-5)
    written = json.loads((tmp_path / "new" / "a.topology.json").read_text())
    assert written["keypoints"][:2] == ["left_shoulder", "right_shoulder"]
    assert written["skeleton"][:2] == [[11, 9], [12, 10]]  # left and right ankle to knee
    assert load_student(file).config == student.config


def test_trt_poses_format_is_not_for_every_student(configured, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"student small: backbone=mobilenetv4.*densenet121_baseline_att"):
        export.main(configured(f"output.file={tmp_path}/new/a.pth"))
    assert left(tmp_path) == []


def test_trt_poses_weights_that_differ_are_not_left(
    configured, tmp_path: Path, attention_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trt_pose, "to_trt_pose", lambda student: to_trt_pose(build_student(student.config)))
    with pytest.raises(UserError, match=r"parity\.tolerance=0\.0001: "):
        export.main(configured(f"checkpoint={attention_checkpoint}", f"output.file={tmp_path}/new/a.pth"))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["output.file=a.pth", "output.format=onnx"], r"output\.format=onnx: expected null or trt_pose for output"),
        (["output.format=tflite"], r"output\.format=tflite: expected onnx or trt_pose, or null"),
        (["output.file=a.pth", "precision=fp16"], r"output\.format=trt_pose: expected onnx .*precision"),
    ],
)
def test_formats_that_do_not_go_together(configured, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        export.main(configured(*overrides))
