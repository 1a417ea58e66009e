"""Tiny real runs of the online command, on a Human3.6M tree of 108 frames."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest
import torch

from pose_oad.cli.assembly import prepare
from pose_oad.cli.command import compose_config
from pose_oad.cli.online import main
from pose_oad.online.window import reveal
from pose_oad.poses.skeleton import get_skeleton, map_keypoints
from pose_oad.students import load_student
from pose_oad.teachers.student import CheckpointTeacher
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames, write_video
from tests.trt_pose import write_reference
from tests.videos import lose_second_half

Run = Callable[..., dict[str, float]]


@pytest.fixture
def overrides(human36m_tree: Path, student_checkpoint: Path) -> list[str]:
    return [
        f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]",
        "window.seconds=null", "window.frames=25",
        "framework=paper", "training.epochs=2", "training.batch_size=4", "rate=0.2",
        "trainer.accelerator=cpu",
    ]  # fmt: skip


@pytest.fixture
def run(overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    # MLflow keeps a store open by its URI: a relative one would be another test's.
    store = f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db"
    return lambda *more: main(compose_config("online", [*overrides, store, *more]))


def ledger(folder: Path = Path("runs/online")) -> list[dict]:
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(line) for line in (newest / "ledger.jsonl").read_text().splitlines()]


def errors(rows: list[dict]) -> list[float]:
    return [row["mpjpe_px"] for row in rows]


@pytest.mark.slow
def test_a_run_leaves_everything_it_should(run: Run, tmp_path: Path) -> None:
    summary = run("strategy=random")
    assert summary["frames"] == 108
    assert summary["selected"] == summary["teacher_calls"] == 4 * 5 + 1
    assert summary["optimizer_steps"] == 2 * (4 * 2 + 1)
    folder = next(Path("runs/online").iterdir())
    kept = {"config.yaml", "ledger.jsonl", "ledger.parquet", "error.png", "frames.png", "look.html", "name.txt",
            "student.ckpt"}  # fmt: skip
    assert {path.name for path in folder.iterdir()} == kept

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("online")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "error_px" in experiment.tags["mlflow.note.content"]
    [logged] = client.search_runs([experiment.experiment_id])
    assert logged.info.status == "FINISHED"
    assert logged.info.run_name == (folder / "name.txt").read_text().strip() == "random-0.2-human36m-truth-seed0"
    [dataset] = logged.inputs.dataset_inputs
    assert (dataset.dataset.name, len(dataset.dataset.digest)) == ("human36m", 16)
    named = {"error_px": "mpjpe_px", "gain_px": "gain_px", "labels": "selected", "steps": "optimizer_steps",
             "seconds": "wall_clock_s"}  # fmt: skip
    assert {name: logged.data.metrics[name] for name in named} == {
        name: logged.data.metrics[f"final/{key}"] for name, key in named.items()
    }
    assert logged.data.params["strategy._target_"].endswith("Random")
    assert logged.data.tags["version.torch"] == torch.__version__.split("+")[0]
    assert {artifact.path for artifact in client.list_artifacts(logged.info.run_id)} == kept
    history = client.get_metric_history(logged.info.run_id, "mpjpe_px")
    assert [point.step for point in history] == [24, 49, 74, 99, 107]

    rows = ledger()
    table = pq.read_table(folder / "ledger.parquet").to_pylist()
    assert [row["selected_frames"] for row in table] == [row["selected_frames"] for row in rows]
    assert [len(row["selected_frames"]) for row in rows] == [5, 5, 5, 5, 1]
    for row in rows:
        assert all(row["first_frame"] <= frame <= row["last_frame"] for frame in row["selected_frames"])
    student = load_student(folder / "student.ckpt")
    assert student.config.input_size == (64, 64)


@pytest.mark.slow
def test_the_same_seeds_give_the_same_run_and_others_do_not(run: Run) -> None:
    rows = []
    for seed in (5, 5, 6):
        run("strategy=random", f"seed.base={seed}")
        rows.append(ledger())
    assert errors(rows[0]) == errors(rows[1])
    assert [r["selected_frames"] for r in rows[0]] == [r["selected_frames"] for r in rows[1]]
    assert [r["selected_frames"] for r in rows[0]] != [r["selected_frames"] for r in rows[2]]


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["keypoints", "maps"])
def test_with_a_label_cache_the_second_run_asks_nobody(
    run: Run, student_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, labels: str
) -> None:
    options = [
        "strategy=error", "teacher=checkpoint", f"teacher.path={student_checkpoint}", f"training.labels={labels}",
        "label_cache=labels", "metric.teacher_every=null",
    ]  # fmt: skip
    first = run(*options)
    before = errors(ledger())
    assert (first["teacher_calls"], first["labels_from_cache"]) == (108, 0)

    def refuse(*_: object) -> None:
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(CheckpointTeacher, "label", refuse)
    again = run(*options)
    assert (again["teacher_calls"], again["labels_from_cache"]) == (108, 108)
    assert errors(ledger()) == before
    with pytest.raises(AssertionError, match="the teacher was asked"):  # about the frames that nobody has labelled
        run(*options, "stream.end=0.9")


@pytest.mark.slow
def test_windows_are_predicted_before_training_on_them(run: Run, overrides: list[str]) -> None:
    """The first window's error is the pre-trained student's, and `none` is that student's everywhere."""
    run("strategy=none")
    frozen = errors(ledger())
    run("strategy=all")
    adapted = errors(ledger())
    assert adapted[0] == frozen[0]
    assert adapted[1] != frozen[1]

    parts = prepare(compose_config("online", overrides))
    h36m, body = get_skeleton("human36m-32"), get_skeleton("body-12")
    for window, logged in zip(parts.data.loader, frozen, strict=True):
        predicted = window.to_frame(parts.module.student.keypoints(window.frames).single)
        truth = map_keypoints(reveal(window)[:, 0], h36m, body)
        distance = (predicted - truth)[..., :2].norm(dim=-1) * 1000 / 64
        assert logged == pytest.approx(float(distance.mean()), rel=1e-4)


@pytest.mark.slow
def test_scored_strategies_run_with_both_scorers(run: Run) -> None:
    for strategy in ("error", "confidence"):
        chosen = []
        for scorer in ("frozen", "live"):
            run(
                f"strategy={strategy}",
                f"strategy.scorer={scorer}",
                "strategy.undetected_joints=worst",
                "metric.threshold=0.0",
                *(["strategy.reduce=mean"] if strategy == "confidence" else []),
                "training.learning_rate=0.05",
            )
            rows = ledger()
            assert [len(row["selected_frames"]) for row in rows] == [5, 5, 5, 5, 1]
            calls = [row["teacher_calls"] for row in rows]
            assert calls == ([25, 25, 25, 25, 8] if strategy == "error" else [5, 5, 5, 5, 1])
            chosen.append([row["selected_frames"] for row in rows])
        assert chosen[0][0] == chosen[1][0]  # before any training both are the same student
        assert chosen[0] != chosen[1]


@pytest.mark.slow
def test_a_video_without_truth_is_measured_against_a_teacher(
    student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "my.mp4", counting_frames(40, 96), rate=10)
    monkeypatch.chdir(tmp_path)
    summary = main(
        compose_config(
            "online",
            [
                "stream=video",
                f"stream.path={tmp_path / 'my.mp4'}",
                "teacher=checkpoint",
                f"teacher.path={student_checkpoint}",
                "teacher.every=2",
                "metric.teacher_every=5",
                "training.labels=maps",
                f"checkpoint={student_checkpoint}",
                "student.input_size=[64,64]",
                "window.seconds=1",
                "framework=paper",
                "training.epochs=1",
                "rate=0.2",
                "trainer.accelerator=cpu",
            ],
        )
    )
    assert summary["frames"] == 40
    assert summary["selected"] == summary["teacher_calls"] == 4 * 2
    assert summary["evaluation_teacher_calls"] == 4 * 1
    assert all(frame % 2 == 0 for row in ledger() for frame in row["selected_frames"])


@pytest.mark.slow
def test_switches_change_what_is_learnt(run: Run) -> None:
    finals = {}
    for name, switch in {
        "base": [], "kept": ["training.optimizer_state=kept"], "train": ["training.batch_norm=train"],
        "steps": ["training.unit=steps", "training.steps=3"],
    }.items():  # fmt: skip
        summary = run("strategy=uniform", *switch)
        finals[name] = (summary["mpjpe_px"], summary["optimizer_steps"])
    assert len({value for value, _ in finals.values()}) == 4
    assert finals["steps"][1] == 15
    assert finals["base"][1] == finals["kept"][1] == 18


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["rate=0"], r"rate=0.*: expected a share of the frames in \(0, 1\]"),
        (["rate=1.01"], "rate=1.01"),
        (["rate=lots"], "rate=lots"),
        (["window.frames=0"], "window.frames=0: expected a whole number, at least 1"),
        (["stream.root=nowhere"], "stream.root=nowhere"),
        (["stream.subjects=[S7]"], "stream.subjects=S7"),
        (["stream.cameras=[1]"], "stream.cameras=1"),
        (["checkpoint=nowhere.ckpt"], "nowhere.ckpt"),
        (["student.backbone=resnet18"], "best.ckpt: holds"),
        (["training.labels=soft"], "training.labels=soft"),
        (["teacher=onnx", "teacher.path=nowhere.onnx"], "teacher.path=nowhere.onnx"),
        (["teacher.every=0"], "teacher.every=0"),
        (["metric.undetected_joints=ignore"], "metric.undetected_joints=ignore"),
        (["tracking.uri=sqlite:////proc/none/x.db"], "tracking.uri=sqlite"),
        (["tracking.uri=null"], "tracking.uri=None: expected "),
        (["trainer.precision=bf16-true"], "trainer.precision=bf16-true: expected 32-true, bf16-mixed"),
        (["window.frames=1000000000000"], "window.frames=1000000000000: expected at most"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(run: Run, more: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(*more)
    assert not Path("runs").exists()


def test_a_video_has_no_truth_for_the_truth_teacher(tmp_path: Path, student_checkpoint: Path) -> None:
    write_video(tmp_path / "my.mp4", counting_frames(10, 64))
    with pytest.raises(UserError, match="teacher=truth: this stream has no ground truth"):
        prepare(compose_config("online", ["stream=video", f"stream.path={tmp_path / 'my.mp4'}"]))


def test_a_video_that_breaks_in_mid_stream_ends_the_run_with_one_line(
    human36m_tree: Path, overrides: list[str], tmp_path: Path
) -> None:
    root = tmp_path / "tree"
    shutil.copytree(human36m_tree, root)
    video = root / "S1/Videos/TakingPhoto.55011271.mp4"
    lose_second_half(video)
    command = [sys.executable, "-m", "pose_oad.cli", "online", *overrides, f"stream.root={root}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "TakingPhoto.55011271.mp4" in done.stderr.strip().splitlines()[-1]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    [logged] = client.search_runs([client.get_experiment_by_name("online").experiment_id])
    assert logged.info.status == "FAILED"


@pytest.mark.parametrize(
    ("more", "resize_mode"),
    [([], "letterbox"), (["student.resize_mode=squash"], "squash"), (["window.resize_mode=squash"], "squash")],
)
def test_the_student_says_how_this_run_lays_frames_into_it(
    overrides: list[str], more: list[str], resize_mode: str
) -> None:
    run = prepare(compose_config("online", [*overrides, *more]))
    assert run.module.student.config.resize_mode == run.data.loader.options.resize_mode == resize_mode
    assert run.module.hparams["student"]["resize_mode"] == resize_mode


def test_a_resize_mode_that_does_not_exist_is_refused(overrides: list[str]) -> None:
    with pytest.raises(UserError, match=r"window\.resize_mode=crop: expected letterbox or squash"):
        prepare(compose_config("online", [*overrides, "window.resize_mode=crop"]))


@pytest.mark.slow
def test_the_weights_of_trt_pose_are_adapted_as_they_were_made(run: Run, tmp_path: Path) -> None:
    weights = write_reference(tmp_path, "resnet18")
    run(
        "student=trt_pose_resnet18", f"checkpoint={weights}", "strategy=uniform", "trainer.limit_train_batches=1",
        "output.figures=false", "output.resumable=false",
    )  # fmt: skip
    [file] = Path("runs/online").glob("*/student.ckpt")
    config = load_student(file).config
    assert (config.name, config.skeleton, config.resize_mode) == ("trt_pose_resnet18", "trt-pose-18", "squash")
