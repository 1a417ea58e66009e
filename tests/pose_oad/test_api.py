from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from matplotlib.figure import Figure

from pose_oad import api
from pose_oad.api import Adaptation, Student, adapt
from pose_oad.cli.command import compose_config
from pose_oad.cli.online import main
from pose_oad.cli.overrides import render
from pose_oad.students import load_student
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames, write_video
from tests.networks import SEER

TINY = {
    "window.seconds": None, "window.frames": 25,
    "framework": "paper", "training.epochs": 1, "trainer.accelerator": "cpu",
    "output.samples": 1, "output.figures": False, "metric.teacher_every": None, "threads": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 3, 0.25, 1e-4, math.inf, "plain", "", "it's", "C:\\new\\", "a 'b\\' c", "a,b=[c]{d}: $e",
        "null", [1, "two", None], {"a": 1, "b": [True]}, [],
    ],
)  # fmt: skip
def test_hydra_reads_back_what_is_rendered(value: object) -> None:
    parsed = OverridesParser.create().parse_override(f"key={render(value)}").value()
    assert parsed == value
    assert type(parsed) is type(value)


def test_paths_and_tuples_become_text_and_lists() -> None:
    assert render(Path("a b/c.mp4")) == "'a b/c.mp4'"
    assert render((1, 2)) == "[1,2]"
    with pytest.raises(UserError, match="options: a set"):
        render({1, 2})


@pytest.fixture
def configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Catch the configuration instead of playing it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pose_oad.cli.online.play", lambda cfg, watchers: None)
    return lambda *args, **kwargs: adapt(*args, **kwargs).cfg


def test_it_runs_what_the_command_would_run(configuration, student_checkpoint: Path) -> None:
    cfg = configuration(
        student_checkpoint,
        "human36m",
        strategy="confidence",
        rate=0.05,
        options={"framework": "paper", "training.epochs": 3, "seed.base": 7},
    )
    by_hand = compose_config(
        "online",
        [
            "strategy=confidence", "rate=0.05", "framework=paper", "training.epochs=3",
            "seed.base=7", f"checkpoint={student_checkpoint}",
            "student.input_size=[64,64]",
        ],
    )  # fmt: skip
    assert cfg == by_hand


def test_files_choose_the_stream_and_the_teacher(configuration, student_checkpoint: Path) -> None:
    cfg = configuration(student_checkpoint, "it's mine.mp4", teacher="big.ckpt", tracking_uri="http://localhost:5000")
    assert cfg.stream._target_.endswith("VideoFileSource")
    assert cfg.stream.path == "it's mine.mp4"
    assert cfg.teacher._target_.endswith("CheckpointTeacher")
    assert cfg.teacher.path == "big.ckpt"
    assert (cfg.tracking.uri, cfg.tracking.artifacts) == ("http://localhost:5000", None)
    cfg = configuration(student_checkpoint, Path("my.mp4"), teacher=Path("net.onnx"), tracking_uri="sqlite:///a.db")
    assert cfg.teacher._target_.endswith("OnnxTeacher")
    assert (cfg.tracking.uri, cfg.tracking.artifacts) == ("sqlite:///a.db", "mlruns/artifacts")


def test_a_network_in_memory_is_kept_beside_the_runs(configuration, student_checkpoint: Path) -> None:
    student = load_student(student_checkpoint)
    student.head.out.bias.data += 1
    cfg = configuration(student, "human36m", options={"output.folder": "here"})
    [kept] = Path("here").iterdir()
    assert cfg.checkpoint == str(kept)
    torch.testing.assert_close(load_student(kept).head.out.bias, student.head.out.bias)


def test_mistakes_are_named(configuration, student_checkpoint: Path) -> None:
    with pytest.raises(UserError, match=r"strategy=unifrom.*did you mean 'uniform'"):
        configuration(student_checkpoint, "human36m", strategy="unifrom")
    with pytest.raises(UserError, match=r"training\.epoch.*did you mean 'training\.epochs'"):
        configuration(student_checkpoint, "human36m", options={"training.epoch": 3})
    with pytest.raises(UserError, match=r"student=Student\(drawn.*exported"):
        configuration(Student(SEER), "human36m")
    with pytest.raises(UserError, match=r"absent\.ckpt: no such file"):
        configuration("absent.ckpt", "human36m")


@pytest.mark.slow
def test_a_run_from_python_is_the_commands_run(
    human36m_tree: Path, student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = TINY | {"stream.root": human36m_tree}
    run = adapt(student_checkpoint, "human36m", rate=0.2, options=options)
    assert isinstance(run, Adaptation)
    assert list(run.errors.columns) == ["frame", "error_px"]
    assert len(run.errors) == 108
    assert run.errors["error_px"].mean() == pytest.approx(run.summary["mpjpe_px"], rel=1e-4)
    assert isinstance(run.curve(), Figure)
    assert run._repr_png_().startswith(b"\x89PNG")
    assert len(repr(run)) < 200
    saved = load_student(run.save(tmp_path / "kept" / "adapted.ckpt"))
    for key, value in run.student.network.state_dict().items():
        assert torch.equal(saved.state_dict()[key], value)

    overrides = [f"{key}={render(value)}" for key, value in options.items()]
    own = ["strategy=uniform", "rate=0.2", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]"]
    summary = main(compose_config("online", [*own, *overrides]))
    assert summary["mpjpe_px"] == run.summary["mpjpe_px"]
    assert summary["selected"] == run.summary["selected"]


@pytest.mark.slow
def test_a_video_is_measured_against_its_teacher(
    student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "my.mp4", counting_frames(30, 48))
    options = TINY | {"metric.teacher_every": 5, "window.frames": 15}
    run = adapt(Student.load(student_checkpoint), tmp_path / "my.mp4", teacher=student_checkpoint, options=options)
    assert run.record.evaluation.measurement.against == "teacher"
    assert len(run.errors) == 6
    [axes] = run.curve().axes
    assert axes.get_ylabel() == "distance to the teacher, px"
    assert api.__all__ == ["Adaptation", "Student", "adapt"]
