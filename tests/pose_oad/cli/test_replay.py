"""A run done again is the same run, and a difference is not hidden."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest
from omegaconf import OmegaConf

from pose_oad.cli.command import compose_config
from pose_oad.cli.online import play
from pose_oad.cli.replay import Comparison, changed, compare, main
from pose_oad.tracking.errors import UserError

ROW = {"window": 0, "selected_frames": [3, 5], "mpjpe_px": 40.0, "mpjpe_px/left_knee": 30.0, "seconds/train": 1.0}


def test_only_selection_and_errors_are_compared() -> None:
    now = {**ROW, "seconds/train": 9.0}
    assert compare([ROW], [now]) == Comparison(windows=1)
    assert compare([ROW], [now]).same


def test_differences_are_counted_and_measured() -> None:
    before = [ROW, {**ROW, "window": 1}, {**ROW, "window": 2}, {**ROW, "window": 3}]
    now = [ROW, {**ROW, "selected_frames": [3, 6]}, {**ROW, "mpjpe_px": 40.5, "mpjpe_px/left_knee": 28.0}]
    found = compare(before, now)
    assert found == Comparison(windows=3, missing=1, selections=[1], errors={2: 2.0})
    assert not found.same


def test_an_error_that_is_missing_differs_infinitely() -> None:
    nothing = {**ROW, "mpjpe_px": None}
    assert compare([nothing], [nothing]).same
    assert compare([nothing], [ROW]).errors == {0: float("inf")}


def test_changed_circumstances_are_listed() -> None:
    before = {"machine": "a", "checkpoint.sha256": "1", "version.torch": "2", "version.timm": "1", "mlflow.user": "x"}
    now = {"machine": "a", "checkpoint.sha256": "2", "version.torch": "3", "version.timm": "1", "mlflow.user": "y"}
    assert changed(before, now) == ["checkpoint.sha256: 1 -> 2", "version.torch: 2 -> 3"]


@pytest.fixture
def run_id(human36m_tree: Path, student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished run of the random strategy."""
    monkeypatch.chdir(tmp_path)
    overrides = [
        "strategy=random", f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}", "seed.base=3",
        "student.input_size=[64,64]", "window.seconds=null", "window.frames=25",
        "framework=paper", "training.epochs=1", "rate=0.2",
        "trainer.accelerator=cpu", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
    ]  # fmt: skip
    return str(play(compose_config("online", overrides)).logger.run_id)


def replayed(tmp_path: Path, run: str) -> Comparison:
    return main(compose_config("replay", [f"run={run}", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]))


@pytest.mark.slow
def test_a_replay_chooses_the_same_frames_and_makes_the_same_errors(run_id: str, tmp_path: Path) -> None:
    for run in (run_id, f"runs/online/{run_id}"):
        found = replayed(tmp_path, run)
        assert found == Comparison(windows=5)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    replays = client.search_runs([client.get_experiment_by_name("replay").experiment_id])
    assert {run.data.tags["pose_oad.replay_of"] for run in replays} == {run_id}
    assert {run.data.tags["pose_oad.kind"] for run in replays} == {"replay"}
    assert replays[0].data.metrics["replay/largest_error_difference_px"] == 0


@pytest.mark.slow
def test_a_difference_is_reported(run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    ledger = Path(client.download_artifacts(run_id, "ledger.jsonl", str(tmp_path)))
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    rows[2]["selected_frames"][0] += 1
    ledger.write_text("".join(json.dumps(row) + "\n" for row in rows))
    client.log_artifact(run_id, str(ledger))
    with caplog.at_level("WARNING"), pytest.raises(SystemExit) as stop:
        replayed(tmp_path, run_id)
    assert stop.value.code == 1
    assert "other frames chosen in windows 2" in caplog.text


@pytest.mark.slow
def test_a_run_without_a_ledger_is_refused(run_id: str, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    bare = client.create_run(client.get_experiment_by_name("online").experiment_id).info.run_id
    with pytest.raises(UserError, match=f"run={bare}: .*config.yaml"):
        replayed(tmp_path, bare)
    with pytest.raises(UserError, match=r"run=deadbeef: .*sqlite"):
        replayed(tmp_path, "deadbeef")
    assert OmegaConf.load(f"runs/online/{run_id}/config.yaml").threads >= 1


@pytest.mark.slow
def test_a_run_over_a_camera_is_refused(run_id: str, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    config = Path(client.download_artifacts(run_id, "config.yaml", str(tmp_path)))
    logged = OmegaConf.load(config)
    logged.stream = compose_config("online", ["stream=live", "stream.path=0"]).stream
    OmegaConf.save(logged, config)
    client.log_artifact(run_id, str(config))
    with pytest.raises(UserError, match=r"run=.*: expected .*videos"):
        replayed(tmp_path, run_id)


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri="):
        replayed(tmp_path, "abc")
    assert not (tmp_path / "mlflow.db").exists()
    with pytest.raises(UserError, match="run=None: expected text"):
        main(compose_config("replay", []))
