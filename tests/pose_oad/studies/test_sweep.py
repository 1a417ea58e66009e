"""Small real studies: nested runs, killed and continued, on files and on PostgreSQL."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mlflow
import optuna
import pytest
from mlflow.entities import Run
from optuna.trial import TrialState

from pose_oad.cli import report
from pose_oad.cli.command import compose_config
from pose_oad.cli.sweep import main
from pose_oad.studies.queue import TrialQueue
from pose_oad.tracking.errors import UserError


@pytest.fixture
def overrides(human36m_tree: Path, student_checkpoint: Path, tmp_path: Path) -> list[str]:
    """A study of two strategies and a reference, two seeds: six trials of a second, 108 frames in five windows."""
    settings = {
        "stream.root": human36m_tree, "checkpoint": student_checkpoint, "student.input_size": "[64,64]",
        "window.seconds": "null", "window.frames": 25, "framework": "paper", "training.epochs": 1, "rate": 0.2,
        "trainer.accelerator": "cpu",
    }  # fmt: skip
    return [
        "study.name=small", "study.seeds=[0,1]", "study.grid={strategy: [random, uniform]}", "study.prepare=[]",
        "study.references=[{label: never adapted, set: {strategy: none}}]", f"folder={tmp_path}/study",
        f"cache={tmp_path}/frames", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
        f"tracking.artifacts={tmp_path}/artifacts",
        "~study.set", *(f"+study.set.{key}={value}" for key, value in settings.items()),
    ]  # fmt: skip


def children(tmp_path: Path) -> tuple[Run, list[Run]]:
    """The study's own run and its trials'."""
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    [parent] = [run for run in runs if run.data.tags.get("pose_oad.kind") == "study"]
    nested = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(nested) == len(runs) - 1
    return parent, nested


def finished(runs: list[Run]) -> Counter[tuple[str, str]]:
    """How often each trial's run was finished."""
    return Counter(
        (run.data.tags["pose_oad.point"], run.data.params["seed.base"]) for run in runs if run.info.status == "FINISHED"
    )


ONCE = {(f"strategy={name}", seed): 1 for name in ("random", "uniform", "none") for seed in ("0", "1")}


@pytest.mark.slow
def test_a_study_is_one_run_with_its_trials_inside(overrides: list[str], tmp_path: Path) -> None:
    counts = main(compose_config("sweep", overrides))
    assert (counts["complete"], counts["fail"], counts["waiting"]) == (6, 0, 0)
    parent, nested = children(tmp_path)
    assert finished(nested) == ONCE
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["trials/complete"] == 6
    labels = Counter((run.data.tags["pose_oad.label"], run.data.tags["pose_oad.role"]) for run in nested)
    assert labels == {("random", "strategy"): 2, ("uniform", "strategy"): 2, ("never adapted", "reference"): 2}
    assert len(list((tmp_path / "frames").glob("*.h5"))) == 3  # decoded once, for all trials
    # Done before: nothing is played again.
    assert main(compose_config("sweep", overrides))["complete"] == 6
    assert len(children(tmp_path)[1]) == 6


@pytest.mark.slow
def test_a_study_over_streams_is_reported_in_sentences(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    streams = [f"study.streams.{name}.stream.actions=[{name}]" for name in ("Walking", "Eating")]
    over = ["study.seeds=[0]", "+study.equivalence_px=2", "+study.baseline=uniform"]
    assert main(compose_config("sweep", [*overrides, *over, *streams[:1]]))["complete"] == 3
    # A stream that is added later is played beside those that are done.
    assert main(compose_config("sweep", [*overrides, *over, *streams]))["complete"] == 6
    _, nested = children(tmp_path)
    assert Counter(run.data.tags["pose_oad.stream"] for run in nested) == {"Walking": 3, "Eating": 3}
    with pytest.raises(UserError, match=r"study\.equivalence_px=3"):
        main(compose_config("sweep", [*overrides, *streams, "study.seeds=[0]", "+study.equivalence_px=3"]))
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    made = report.main(compose_config("report", ["study_name=small", store, f"folder={tmp_path}/report"]))
    assert [(group.label, group.units) for group in made.material.online] == [
        ("random", 2), ("uniform", 2), ("never adapted", 2)
    ]  # fmt: skip
    said = capsys.readouterr().out.split("report:")[0]
    assert "At 20 %" in said
    assert "2 streams" in said
    assert (tmp_path / "report/figures/effects_by_stream.png").exists()
    page = (tmp_path / "report/index.html").read_text()
    assert page.index('class="verdict"') < page.index("What was run")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_study_goes_on_where_it_was(overrides: list[str], tmp_path: Path, workers: int) -> None:
    command = [sys.executable, "-m", "pose_oad.cli", "sweep", *overrides, f"workers={workers}"]
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    # Opened by name only: what the study is made of does not matter for reading.
    queue = TrialQueue(tmp_path / "study", None, "small")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
        if (tmp_path / "study/journal.log").exists():
            states = Counter(
                line.count('"state":1') for line in (tmp_path / "study/journal.log").read_text().split("\n")
            )
            if states[1] >= 2 and _running(queue):
                break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done_before = finished(children(tmp_path)[1])
    assert 0 < len(done_before) < 6, (tmp_path / "log").read_text()

    counts = main(compose_config("sweep", overrides))
    assert (counts["complete"], counts["running"], counts["waiting"]) == (6, 0, 0)
    parent, nested = children(tmp_path)
    assert finished(nested) == ONCE
    assert {run.info.status for run in nested} <= {"FINISHED", "KILLED"}
    assert parent.info.status == "FINISHED"


def _running(queue: TrialQueue) -> list[optuna.trial.FrozenTrial]:
    storage = queue._storage(None)
    [study] = storage.get_all_studies()
    return storage.get_all_trials(study._study_id, states=(TrialState.RUNNING,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["workers=0"], "workers=0: expected a whole number"),
        (["storage=postgresql+psycopg://127.0.0.1:1/none"], "storage=postgresql"),
        (["+study.grid.rates=[1]"], "unknown config key 'rates'"),
        (
            ["study.prepare=[{make: nowhere.ckpt, command: pretrain, set: {data.root: none}}]"],
            r"study.prepare: .*exit code 2",
        ),
        (["tracking.uri=sqlite:////proc/none/x.db"], "tracking.uri=sqlite"),
    ],
)
def test_bad_input_is_refused_before_the_first_trial(
    overrides: list[str], tmp_path: Path, changes: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        main(compose_config("sweep", [*overrides, *changes]))
    assert not (tmp_path / "study" / "runs").exists()


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(UserError, match=r"study=compare_strategy: .*'compare_strategies'"):
        compose_config("sweep", ["study=compare_strategy"])


@pytest.fixture
def database() -> Iterator[str]:
    """URL of a fresh PostgreSQL server on this machine; the test is skipped where none is installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL server installed")
    # A folder of its own, since the server's user must reach it, and the path of its socket must be short.
    binaries, data = programs[-1].parent, Path(tempfile.mkdtemp(prefix="postgres-"))
    # The server refuses to run as root.
    user = "postgres" if getpass.getuser() == "root" else getpass.getuser()
    become = ["runuser", "-u", user, "--"] if user == "postgres" else []
    if become:
        shutil.chown(data, user, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = [*become, str(binaries / "pg_ctl"), "-D", str(data / "db"), "-w"]
    subprocess.run([*become, str(binaries / "initdb"), "-D", str(data / "db"), "-A", "trust", "-U", "postgres"],
                   check=True, capture_output=True)  # fmt: skip
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"
    subprocess.run([*control, "-o", options, "-l", str(data / "log"), "start"], check=True, capture_output=True)
    try:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
        shutil.rmtree(data)


@pytest.mark.slow
def test_workers_of_two_machines_share_a_study_through_postgresql(
    overrides: list[str], tmp_path: Path, database: str
) -> None:
    """Two sessions with folders of their own, as on two machines, that know of each other by the database only."""
    commands = [
        [
            sys.executable,
            "-m",
            "pose_oad.cli",
            "sweep",
            *overrides,
            f"storage={database}",
            f"folder={tmp_path}/machine{n}",
        ]
        for n in range(2)
    ]
    # The second one finds the study begun: who comes first makes the study's own run.
    processes = [subprocess.Popen(commands[0], stderr=subprocess.PIPE, text=True)]
    time.sleep(8)
    processes.append(subprocess.Popen(commands[1], stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, said = process.communicate(timeout=180)
        assert process.returncode == 0, said
    parent, nested = children(tmp_path)
    assert finished(nested) == ONCE
    assert len(nested) == 6
    assert parent.info.status == "FINISHED"
    trials = optuna.load_study(study_name="small", storage=database).get_trials()
    assert Counter(trial.state for trial in trials if "key" in trial.user_attrs) == {TrialState.COMPLETE: 6}
