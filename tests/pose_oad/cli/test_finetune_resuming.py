"""A fine-tuning that is killed goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import mlflow
import pytest
import torch

from pose_oad.cli.command import compose_config
from pose_oad.cli.finetune import main
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.media import write_sequence

# Where the process is killed: when two windows have been chosen from, while the second epoch is trained, when that has
# been logged and its state not yet kept, and while the test is going on.
KILLS = {
    "selection": """
        append = SelectionJournal.append
        def patched(self, row, *more):
            append(self, row, *more)
            if row["window"] == 1: kill()
        SelectionJournal.append = patched
    """,
    "epoch": """
        step = FinetuneModule.training_step
        def patched(self, batch, batch_idx):
            if self.current_epoch == 1 and batch_idx == 2: kill()
            return step(self, batch, batch_idx)
        FinetuneModule.training_step = patched
    """,
    "logged": """
        log = EpochLogger.on_train_epoch_end
        def patched(self, trainer, module):
            log(self, trainer, module)
            if trainer.current_epoch == 1: kill()
        EpochLogger.on_train_epoch_end = patched
    """,
    "test": """
        def patched(*_): kill()
        pose_oad.online.breakdown.measure = patched
    """,
}
# Frames that the teacher is asked about after the stop, of windows of 25, 25, 25 and 9.
ASKED_AGAIN = {"selection": 25 + 9, "epoch": 0, "logged": 0, "test": 0}
SCRIPT = """
import os, signal, sys
import pose_oad.online.breakdown
from pose_oad.cli.command import compose_config
from pose_oad.cli.finetune import main
from pose_oad.offline.journal import SelectionJournal
from pose_oad.offline.training import EpochLogger, FinetuneModule

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

{change}
main(compose_config("finetune", sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """S1 with 60 + 45 frames, of which 48 + 36 are trained on; S9 with 20."""
    root = tmp_path_factory.mktemp("human36m")
    for subject, name, frames in (("S1", "Walking 1", 60), ("S1", "Eating 2", 45), ("S9", "Walking", 20)):
        write_sequence(root, subject, name, "55011271", frames)
    return root


def overrides(tree: Path, checkpoint: Path, folder: Path) -> list[str]:
    return [
        f"stream.root={tree}", f"checkpoint={checkpoint}", "student.input_size=[64,64]", "train.subjects=[S1]",
        "window.seconds=null", "window.frames=25", "training.epochs=3", "training.batch_size=4", "rate=0.2",
        "strategy=error", "training.plateau.patience=0", "training.batch_norm=train", "trainer.accelerator=cpu",
        "threads=1", f"tracking.uri=sqlite:///{folder}/mlflow.db", f"tracking.artifacts={folder}/artifacts",
        f"output.folder={folder}/runs",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def reference(
    tree: Path, student_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, float], Path]:
    """Figures and folder of a study that nobody stopped."""
    place = tmp_path_factory.mktemp("reference")
    values = main(compose_config("finetune", overrides(tree, student_checkpoint, place)))
    [folder] = (place / "runs").iterdir()
    return values, folder


def without_times(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not name.endswith("_s") and value == value}


def selection(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "selection.jsonl").read_text().splitlines()]


def history(folder: Path, metric: str) -> list[tuple[int, float]]:
    client = mlflow.MlflowClient(f"sqlite:///{folder.parents[1]}/mlflow.db")
    return [(point.step, point.value) for point in client.get_metric_history(folder.name, metric)]


@pytest.mark.slow
@pytest.mark.parametrize("where", KILLS)
def test_a_killed_study_ends_as_an_uninterrupted_one(
    where: str,
    tree: Path,
    student_checkpoint: Path,
    reference: tuple[dict[str, float], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = SCRIPT.format(change=textwrap.dedent(KILLS[where]))
    command = [sys.executable, "-c", script, *overrides(tree, student_checkpoint, tmp_path)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True, cwd=os.getcwd())
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [folder] = (tmp_path / "runs").iterdir()
    assert (folder / "unfinished").is_dir()
    assert not (folder / "result.json").exists()

    asked = 0
    label = TruthTeacher.label

    def counted(self: TruthTeacher, request: TeacherRequest) -> Labels:
        nonlocal asked
        asked += len(request.ids)
        return label(self, request)

    monkeypatch.setattr(TruthTeacher, "label", counted)
    resume = [f"resume={folder.name}", f"output.folder={tmp_path}/runs"]
    values = main(compose_config("finetune", resume))
    assert asked == ASKED_AGAIN[where]
    expected, whole = reference
    assert values["teacher_calls"] == 84
    assert without_times(values) == without_times(expected)
    assert selection(folder) == selection(whole)
    weights = [torch.load(place / "student.ckpt", weights_only=True)["state_dict"] for place in (folder, whole)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
    for metric in ("train/loss", "val/mpjpe_px", "lr", "final/test_mpjpe_px"):
        assert history(folder, metric) == history(whole, metric)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    [run] = client.search_runs([client.get_experiment_by_name("finetune").experiment_id])
    assert run.info.status == "FINISHED"
    assert {artifact.path for artifact in client.list_artifacts(folder.name)} == {
        path.name for path in folder.iterdir()
    }

    assert main(compose_config("finetune", resume)) == {}


def test_a_study_goes_on_with_its_own_settings(tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "config.yaml").write_text("rate: 0.1\n")
    with pytest.raises(UserError, match="leave out every other override"):
        main(compose_config("finetune", ["resume=abc", f"output.folder={tmp_path}", "rate=0.2"]))
    with pytest.raises(UserError, match="resume=nowhere: "):
        main(compose_config("finetune", ["resume=nowhere", f"output.folder={tmp_path}"]))
