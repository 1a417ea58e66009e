"""A stream that is killed goes on behind its last finished window, and ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import mlflow
import pytest
import torch

from callbacks.checkpoint import STATE_FILE, read_state
from pose_oad.cli.command import compose_config
from pose_oad.cli.online import main
from pose_oad.students import load_student
from pose_oad.tracking.errors import UserError

# Where the process is killed: while window 2 is trained on, when window 1 has been logged and its state not yet kept,
# and when the state of window 3 has just been kept.
KILLS = {
    "inside": """
        step = OnlineDistillation.training_step
        def training_step(self, batch, batch_idx):
            if batch.index == 2: kill()
            return step(self, batch, batch_idx)
        OnlineDistillation.training_step = training_step
    """,
    "before the state": "watchers = [lambda row: row['window'] == 1 and kill()]",
    "between": """
        keep = WindowCheckpoint.on_train_batch_end
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            keep(self, trainer, module, outputs, batch, batch_idx)
            if batch.index == 3: kill()
        WindowCheckpoint.on_train_batch_end = on_train_batch_end
    """,
}
SCRIPT = """
import os, signal, sys
from callbacks.checkpoint import WindowCheckpoint
from pose_oad.cli.command import compose_config
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.cli.online import play

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

watchers = []
{change}
play(compose_config("online", sys.argv[1:]), watchers=watchers)
"""


@pytest.fixture
def overrides(
    human36m_tree: Path, student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [
        f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]",
        "window.seconds=null", "window.frames=25",
        "framework=paper", "training.epochs=1", "rate=0.2", "trainer.accelerator=cpu",
        "strategy=confidence", "strategy.undetected_joints=worst", "training.optimizer_state=kept",
        "metric.final_pass=true", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", "threads=1",
        f"tracking.artifacts={tmp_path}/artifacts",
        "training.batch_norm=train", f"output.folder={tmp_path}/runs",
        "average=ema", "regulariser=ewc", "objective=sum", "+objective@objective.objectives.maps=map_regression",
        "+objective@objective.objectives.heads=auxiliary_heads", "+objective@objective.objectives.own=dual_consistency",
        "memory=reservoir", "augmentation=mild", "training.hold_out=0.25", "training.check_every=1",
    ]  # fmt: skip


def ledger(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def without_times(values: dict) -> dict:
    timed = ("seconds/", "wall_clock", "frames_per_second", "peak_memory")
    return {key: value for key, value in values.items() if not key.startswith(timed) and value == value}


@pytest.mark.slow
def test_a_killed_stream_ends_as_an_uninterrupted_one(
    overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = main(compose_config("online", overrides))
    [reference] = (tmp_path / "runs").iterdir()
    assert not (reference / "unfinished").exists()
    for where, change in KILLS.items():
        before = set((tmp_path / "runs").iterdir())
        script = SCRIPT.format(change=textwrap.dedent(change))
        killed = subprocess.run([sys.executable, "-c", script, *overrides], check=False, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        [folder] = set((tmp_path / "runs").iterdir()) - before
        assert (folder / "unfinished").is_dir()

        resumed = main(compose_config("online", [f"resume={folder.name}", f"output.folder={tmp_path}/runs"]))
        assert without_times(resumed) == without_times(whole), where
        rows, expected = ledger(folder), ledger(reference)
        assert [row["window"] for row in rows] == [0, 1, 2, 3, 4]
        assert [without_times(row) for row in rows] == [without_times(row) for row in expected]
        assert _weights(folder) == _weights(reference)
        assert not (folder / "unfinished").exists()
        assert load_student(folder / "student.ckpt").config.foreground == 5.0
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        history = client.get_metric_history(folder.name, "mpjpe_px")
        assert [point.step for point in history] == [24, 49, 74, 99, 107]
        assert client.get_run(folder.name).info.status == "FINISHED"
    runs = client.search_runs([client.get_experiment_by_name("online").experiment_id])
    assert len(runs) == 1 + len(KILLS)

    caplog.clear()
    assert main(compose_config("online", [f"resume={reference.name}", f"output.folder={tmp_path}/runs"])) == {}
    assert [message for message in caplog.messages if "is finished" in message] == caplog.messages


def _weights(folder: Path) -> dict[str, list[float]]:
    state = torch.load(folder / "student.ckpt", weights_only=True)["state_dict"]
    return {name: value.flatten().tolist() for name, value in state.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("windows", "frames"), [("null", 108), ("2", 50)])
def test_a_disk_that_is_full_at_the_very_end_costs_nothing(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, windows: str, frames: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("callbacks.ledger.pq.write_table", full)
        with pytest.raises(UserError, match=r"cannot be written \(No space left on device\); .*resume="):
            main(compose_config("online", [*overrides, f"trainer.limit_train_batches={windows}"]))
    [folder] = (tmp_path / "runs").iterdir()
    summary = main(compose_config("online", [f"resume={folder.name}", f"output.folder={tmp_path}/runs"]))
    assert summary["frames"] == frames
    assert (folder / "ledger.parquet").exists()
    assert not (folder / "unfinished").exists()
    assert [row["window"] for row in ledger(folder)] == list(range(-(-frames // 25)))


def test_a_run_goes_on_with_its_own_settings(tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "config.yaml").write_text("rate: 0.1\n")
    for resume in (["resume=abc", f"output.folder={tmp_path}"], [f"resume={tmp_path}/abc"]):
        with pytest.raises(UserError, match=r"^resume="):
            main(compose_config("online", [*resume, "rate=0.2"]))


def test_an_unknown_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resume=nowhere: expected "):
        main(compose_config("online", ["resume=nowhere", f"output.folder={tmp_path}"]))


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).parent.mkdir()
    (tmp_path / STATE_FILE).write_bytes(b"PK nonsense")
    with pytest.raises(UserError, match=r"state.ckpt: "):
        read_state(tmp_path)
