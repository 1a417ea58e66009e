"""Tiny real runs of the offline study, on a Human3.6M tree of two subjects."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import torch

from pose_oad.cli.command import compose_config
from pose_oad.cli.finetune import main, prepare
from pose_oad.offline import collection
from pose_oad.online.window import reveal
from pose_oad.poses.skeleton import get_skeleton, map_keypoints
from pose_oad.students import load_student
from pose_oad.tracking.errors import UserError
from tests.media import write_sequence
from tests.videos import lose_second_half

Run = Callable[..., dict[str, float]]
BODY = get_skeleton("body-12")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """S1 with 60 + 45 frames, of which 48 + 36 are trained on and 12 + 9 validate; S9 with 20 + 10."""
    root = tmp_path_factory.mktemp("human36m")
    for subject, name, frames in (("S1", "Walking 1", 60), ("S1", "Eating 2", 45), ("S9", "Walking", 20)):
        write_sequence(root, subject, name, "55011271", frames)
    write_sequence(root, "S9", "Photo", "55011271", 10)
    return root


@pytest.fixture
def overrides(tree: Path, student_checkpoint: Path, tmp_path: Path) -> list[str]:
    return [
        f"stream.root={tree}", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]", "train.subjects=[S1]",
        "window.seconds=null", "window.frames=25", "training.epochs=2", "training.batch_size=4", "rate=0.2",
        "trainer.accelerator=cpu", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
        f"tracking.artifacts={tmp_path}/artifacts",
    ]  # fmt: skip


@pytest.fixture
def run(overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *more: main(compose_config("finetune", [*overrides, *more]))


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "selection.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_study_leaves_everything_it_should(run: Run, student_checkpoint: Path, tmp_path: Path) -> None:
    place = tmp_path / "fixed" / "best.ckpt"
    values = run(f"output.checkpoint={place}", "collection.memory_mib=0")
    # 84 training frames: windows of 25, 25, 25 and 9, of which int(0.2 * frames) each are chosen
    assert values["frames"] == 84
    assert values["selected"] == values["teacher_calls"] == 5 + 5 + 5 + 1
    assert values["optimizer_steps"] == 2 * 4
    assert values["test_frames"] == 30
    assert values["test_mpjpe_px"] != values["test_before_mpjpe_px"]
    by_frames = (20 * values["test_mpjpe_px/action/Walking"] + 10 * values["test_mpjpe_px/action/Photo"]) / 30
    assert values["test_mpjpe_px"] == pytest.approx(by_frames)
    assert values["test_mpjpe_px"] == pytest.approx(values["test_mpjpe_px/subject/S9"])
    assert values["test_mpjpe_px"] == pytest.approx(values["test_mpjpe_px/camera/55011271"])
    assert values["test_mpjpe_px"] == pytest.approx(sum(values[f"test_mpjpe_px/joint/{j}"] for j in BODY.joints) / 12)
    assert all(values[f"{phase}_s"] > 0 for phase in ("selection", "training", "test"))

    [folder] = Path("runs/finetune").iterdir()
    kept = {"config.yaml", "name.txt", "selection.jsonl", "student.ckpt", "result.json"}
    assert {path.name for path in folder.iterdir()} == kept
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "mlflow.db", "mlflow.db.lock", "artifacts", "fixed"}
    assert [path.name for path in place.parent.iterdir()] == ["best.ckpt"]
    assert json.loads((folder / "result.json").read_text()) == pytest.approx(values, nan_ok=True)
    assert [len(row["selected_frames"]) for row in rows(folder)] == [5, 5, 5, 1]
    assert [clip["name"] for clip in rows(folder)[1]["clips"]] == ["S1/Eating 2.55011271", "S1/Walking 1.55011271"]
    for row in rows(folder):
        assert all(row["first_frame"] <= frame <= row["last_frame"] for frame in row["selected_frames"])

    before = load_student(student_checkpoint).state_dict()
    after, fixed = load_student(folder / "student.ckpt").state_dict(), load_student(place).state_dict()
    assert all(torch.equal(after[key], fixed[key]) for key in after)
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    assert changed
    assert not any("running_" in key for key in changed)  # batch norm is frozen

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    [logged] = client.search_runs([client.get_experiment_by_name("finetune").experiment_id])
    assert logged.info.status == "FINISHED"
    assert {artifact.path for artifact in client.list_artifacts(logged.info.run_id)} == kept
    tags = {name: logged.data.tags[f"pose_oad.{name}"] for name in ("kind", "role", "label")}
    assert tags == {"kind": "finetune", "role": "strategy", "label": "random"}
    assert logged.data.metrics["final/test_mpjpe_px"] == values["test_mpjpe_px"]
    for metric in ("train/loss", "val/mpjpe_px", "lr"):
        assert [point.step for point in client.get_metric_history(logged.info.run_id, metric)] == [1, 2]


@pytest.mark.slow
def test_without_a_choice_the_pre_trained_student_is_tested(run: Run, overrides: list[str]) -> None:
    values = run("strategy=none", "test.every=3")
    assert values["selected"] == values["teacher_calls"] == values["optimizer_steps"] == 0
    assert values["test_frames"] == 10
    assert values["test_mpjpe_px"] == values["test_before_mpjpe_px"]

    study = prepare(compose_config("finetune", overrides))
    student, distances = study.module.student, []
    for window in study.test:
        found = window.to_frame(student.keypoints(window.frames).single)
        truth = map_keypoints(reveal(window)[:, 0], get_skeleton("human36m-32"), BODY)
        distances.append(((found - truth)[..., :2].norm(dim=-1) * 1000 / 64)[window.ids % 3 == 0])
    assert values["test_mpjpe_px"] == pytest.approx(float(torch.cat(distances).mean()), rel=1e-5)

    [folder] = Path("runs/finetune").iterdir()
    kept = load_student(folder / "student.ckpt").state_dict()
    assert all(torch.equal(kept[key].cpu(), value) for key, value in student.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "selected", "calls"),
    [(["strategy=error"], 16, 84), (["strategy=oracle"], 16, 16), (["strategy=all"], 84, 84)],
)
def test_teacher_calls_are_counted_whoever_asks(run: Run, more: list[str], selected: int, calls: int) -> None:
    values = run(*more, "training.epochs=1", "validation.every=9", "test.every=9")
    assert (values["selected"], values["teacher_calls"]) == (selected, calls)


@pytest.mark.slow
def test_a_teacher_that_reads_pixels_labels_what_it_sees(run: Run, student_checkpoint: Path) -> None:
    teacher = ["teacher=checkpoint", f"teacher.path={student_checkpoint}", "teacher.every=2"]
    values = run(*teacher, "training.epochs=1", "test.every=9")
    assert (values["selected"], values["teacher_calls"]) == (16, 16)
    [folder] = Path("runs/finetune").iterdir()
    assert all(frame % 2 == 0 for row in rows(folder) for frame in row["selected_frames"])


@pytest.mark.slow
def test_the_teachers_labels_validate_in_place_of_the_truth(
    run: Run, student_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "true_person", lambda *_: pytest.fail("the truth was looked at"))
    teacher = ["teacher=checkpoint", f"teacher.path={student_checkpoint}", "augmentation=paper"]
    values = run(*teacher, "validation.monitor=teacher_loss", "training.plateau.patience=3")
    assert values["val_teacher_loss"] > 0
    assert "val_mpjpe_px" not in values
    # 12 + 9 frames, one in five of which validates
    assert (values["teacher_calls"], values["validation_teacher_calls"]) == (16, 5)


@pytest.mark.slow
def test_the_same_seeds_give_the_same_study_from_a_cache_too(run: Run) -> None:
    switches = (["seed.base=5"], ["seed.base=5", "window.cache=frames"], ["seed.base=6"])
    studies = [run("training.epochs=1", *more) for more in switches]
    errors = [{key: value for key, value in values.items() if "mpjpe" in key} for values in studies]
    assert errors[0] == errors[1] != errors[2]
    assert list(Path("frames").iterdir())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["rate=0"], "rate=0"),
        (["train.subjects=[S7]"], r"^train.subjects=S7"),
        (["test.subjects=[S7]"], r"^test.subjects=S7"),
        (["test.subjects=[S9,S1]"], r"^test.subjects=\['S9', 'S1'\]: expected others than"),
        (["test.subjects=S9"], "test.subjects=S9: expected a list"),
        (["train.subjects=[]"], r"train.subjects=\[\]: expected a list"),
        (["test.every=0"], "test.every=0"),
        (["validation.every=few"], "validation.every=few"),
        (["validation.monitor=truth"], "validation.monitor=truth: expected error or teacher_loss"),
        (["metric.decoding=best"], "metric.decoding=best: expected argmax or grouped"),
        (["metric.decoding=grouped"], "metric.undetected_joints=argmax: expected drop, penalty or zero"),
        (["validation.start=0.5"], "validation.start=0.5: expected a fraction not before train.end=0.8"),
        (["validation.end=1.2"], r"^validation.end=1.2"),
        (["validation.end=0.801"], "validation.end=0.801: expected a range of at least one frame"),
        (["window.frames=0"], "window.frames=0"),
        (["collection.memory_mib=-1"], "collection.memory_mib=-1"),
        (["training.plateau=null"], "training.plateau=None"),
        (["training.plateau.factor=1"], "training.plateau.factor=1"),
        (["training.plateau.patience=-1"], "training.plateau.patience=-1"),
        (["training.labels=maps"], "training.labels=maps: expected keypoints"),
        (["training.epochs=0"], "training.epochs=0"),
        (["metric.batch_size=0"], "metric.batch_size=0"),
        (["metric.undetected_joints=ignore"], "metric.undetected_joints=ignore"),
        (["teacher=onnx", "teacher.path=nowhere.onnx"], "teacher.path=nowhere.onnx"),
        (["checkpoint=nowhere.ckpt"], "nowhere.ckpt"),
        (["output.checkpoint=."], "output.checkpoint=.: expected a file"),
        (["trainer.accelerator=abacus"], "trainer="),
        (["tracking.uri=sqlite:////proc/none/x.db"], "tracking.uri=sqlite"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(run: Run, more: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(*more)
    assert not list(Path().iterdir())


def test_a_single_video_is_refused() -> None:
    with pytest.raises(UserError, match=r"stream=datamodules\.video\.VideoFileSource: expected a tree of subjects"):
        prepare(compose_config("finetune", ["stream=video", "stream.path=my.mp4"]))


def test_a_broken_video_fails_the_run_in_the_store(run: Run, overrides: list[str], tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    lose_second_half(root / "S1/Videos/Walking 1.55011271.mp4")
    with pytest.raises(UserError, match=r"Walking 1\.55011271\.mp4"):
        run(f"stream.root={root}")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    [logged] = client.search_runs([client.get_experiment_by_name("finetune").experiment_id])
    assert logged.info.status == "FAILED"
    [folder] = Path("runs/finetune").iterdir()
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "name.txt", "unfinished"}
