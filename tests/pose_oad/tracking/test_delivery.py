"""A tracking store that goes away in mid-run costs nothing: records are kept, and delivered once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from mlflow.entities import Metric, RunTag

from pose_oad.cli.command import compose_config
from pose_oad.cli.online import main as online
from pose_oad.cli.online import play
from pose_oad.cli.sync import main as sync
from pose_oad.tracking.delivery import UNDELIVERED, DeliveringClient, Journal, RunLogger, deliver_journal
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.locks import holding
from pose_oad.tracking.store import connect

HEADER = {"uri": "somewhere", "run_id": "r", "local_id": "r", "experiment": "e", "artifacts": None, "tags": {}}


class Store:
    """A client that can be down, and remembers what it took."""

    def __init__(self) -> None:
        self.down, self.taken = False, list[tuple[str, Any]]()

    def _take(self, name: str, value: Any) -> None:
        if self.down:
            raise ConnectionError("refused")
        self.taken.append((name, value))

    def log_batch(self, run_id: str, metrics: list[Metric], params: list[Any], tags: list[RunTag]) -> None:
        self._take("log_batch", [(m.key, m.value, m.timestamp, m.step) for m in metrics] + [t.key for t in tags])

    def log_artifact(self, run_id: str, path: str) -> None:
        self._take("log_artifact", path)

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self._take("set_terminated", status)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def client(store: Store, tmp_path: Path) -> DeliveringClient:
    return DeliveringClient(store, Journal(tmp_path / "r.jsonl", HEADER))  # type: ignore[arg-type]


def test_what_is_delivered_leaves_no_journal(client: DeliveringClient, store: Store) -> None:
    client.log_batch("r", metrics=[Metric("a", 1.5, 99, 3)], tags=[RunTag("t", "x")])
    client.set_terminated("r", "FINISHED")
    assert store.taken == [("log_batch", [("a", 1.5, 99, 3), "t"]), ("set_terminated", "FINISHED")]
    assert not client.journal.path.exists()


def test_what_fails_is_kept_said_once_and_delivered_in_order(
    client: DeliveringClient, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.down = True
    (tmp_path / "run" / "unfinished").mkdir(parents=True)
    for name in ("student.ckpt", "unfinished/state.ckpt"):
        (tmp_path / "run" / name).touch()
    with caplog.at_level("WARNING"):
        client.log_batch("r", metrics=[Metric("a", 1.0, 10, 1)])
        client.log_batch("r", metrics=[Metric("a", 2.0, 20, 2)])
        client.log_artifacts("r", str(tmp_path / "run"))
        client.set_terminated("r", "FINISHED")
    assert caplog.text.count("refused; the run goes on") == 1
    store.down = False
    assert deliver_journal(client.journal.path, None, lambda uri: store) == 4  # type: ignore[arg-type,return-value]
    assert store.taken == [
        ("log_batch", [("a", 1.0, 10, 1)]), ("log_batch", [("a", 2.0, 20, 2)]),
        ("log_artifact", str(tmp_path / "run" / "student.ckpt")), ("set_terminated", "FINISHED"),
    ]  # fmt: skip
    assert not client.journal.path.exists()


def test_a_dead_store_is_not_asked_at_every_window(
    client: DeliveringClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    store.down = True
    client.set_tag("r", "a", "1")
    store.down = False
    client.set_tag("r", "b", "2")
    assert not store.taken
    clock[0] += 61
    client.set_tag("r", "c", "3")
    assert store.taken == [("log_batch", ["c"])]
    _, kept = Journal.read(client.journal.path)
    assert [entry["tags"] for entry in kept] == [[["a", "1"]], [["b", "2"]]]


def test_a_delivery_that_breaks_off_keeps_the_rest(client: DeliveringClient, store: Store) -> None:
    store.down = True
    for value in range(3):
        client.log_batch("r", metrics=[Metric("a", float(value), value, value)])

    class Breaking(Store):
        def _take(self, name: str, value: Any) -> None:
            self.down = len(self.taken) == 2
            super()._take(name, value)

    with pytest.raises(ConnectionError):
        deliver_journal(client.journal.path, None, lambda uri: Breaking())  # type: ignore[arg-type,return-value]
    _, kept = Journal.read(client.journal.path)
    assert [entry["metrics"][0][1] for entry in kept] == [2.0]


def test_a_line_cut_off_by_a_crash_is_left_out(client: DeliveringClient, store: Store) -> None:
    store.down = True
    client.set_tag("r", "a", "1")
    with client.journal.path.open("a") as file:
        file.write('{"call": "log_ba')
    assert len(Journal.read(client.journal.path)[1]) == 1


def test_what_follows_half_a_line_is_read(client: DeliveringClient, store: Store) -> None:
    store.down = True
    for number in range(3):
        with client.journal.path.open("a") as file:
            file.write('{"uri": "some' if number == 0 else '{"call": "log_ba')
        client.set_tag("r", str(number), "1")
    journal, entries = Journal.read(client.journal.path)
    assert journal.header == HEADER
    assert [entry["tags"][0][0] for entry in entries] == ["0", "1", "2"]


def test_what_is_added_during_a_delivery_is_kept(client: DeliveringClient, store: Store) -> None:
    store.down = True
    client.set_tag("r", "before", "1")

    class Slow(Store):
        def _take(self, name: str, value: Any) -> None:
            super()._take(name, value)
            client.set_tag("r", "meanwhile", "1")

    assert deliver_journal(client.journal.path, None, lambda uri: Slow()) == 1  # type: ignore[arg-type,return-value]
    _, kept = Journal.read(client.journal.path)
    assert [entry["tags"][0][0] for entry in kept] == ["meanwhile"]


class NewRuns(Store):
    """A store in which runs are made and looked for, and that stops for good after so many calls."""

    def __init__(self, lives: int = 1000) -> None:
        super().__init__()
        self.lives, self.runs = lives, list[dict[str, str]]()

    def get_experiment_by_name(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(experiment_id=name)

    def search_runs(self, experiments: list[str], chosen: str) -> list[SimpleNamespace]:
        return [_run(n) for n, tags in enumerate(self.runs) if f"'{tags['pose_oad.local_id']}'" in chosen]

    def create_run(self, experiment: str, tags: dict[str, str]) -> SimpleNamespace:
        self.runs.append(tags)
        return _run(len(self.runs) - 1)

    def _take(self, name: str, value: Any) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise KeyboardInterrupt
        super()._take(name, value)


def _run(number: int) -> SimpleNamespace:
    return SimpleNamespace(info=SimpleNamespace(run_id=f"run {number}"))


@pytest.mark.parametrize("lives", [0, 1])
def test_a_kill_behind_the_making_of_a_run_does_not_make_another(tmp_path: Path, lives: int) -> None:
    client = DeliveringClient(None, Journal(tmp_path / "r.jsonl", HEADER | {"run_id": None}))
    client.set_tag("r", "a", "1")
    client.set_tag("r", "b", "2")
    content = client.journal.path.read_bytes()
    target = NewRuns(lives)
    with pytest.raises(KeyboardInterrupt):
        deliver_journal(client.journal.path, None, lambda uri: target)  # type: ignore[arg-type,return-value]
    client.journal.path.write_bytes(content)  # a kill leaves it as it was
    target.lives = 10
    deliver_journal(client.journal.path, None, lambda uri: target)  # type: ignore[arg-type,return-value]
    client.set_tag("r", "c", "3")  # by a run that still goes on
    deliver_journal(client.journal.path, None, lambda uri: target)  # type: ignore[arg-type,return-value]
    assert len(target.runs) == 1
    assert [value for _, [value] in target.taken[lives:]] == ["a", "b", "c"]


@pytest.mark.parametrize("damage", [b"", b"[1, 2\n", b'{"uri": "x"}\n{"call": "nonsense"}\n', b"\xff\xfe\n", b"3\n"])
def test_a_damaged_journal_does_not_block_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    store = NewRuns()
    monkeypatch.setattr("pose_oad.cli.sync.connect", lambda uri: store)
    (tmp_path / "a.jsonl").write_bytes(damage)
    DeliveringClient(None, Journal(tmp_path / "b.jsonl", HEADER)).set_tag("r", "t", "1")
    with pytest.raises(UserError, match=r"a\.jsonl: "):
        sync(compose_config("sync", [f"folder={tmp_path}"]))
    assert store.taken == [("log_batch", ["t"])]
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["a.jsonl"]
    assert (tmp_path / "a.jsonl").read_bytes() == damage


def test_one_process_delivers_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    with holding(tmp_path), pytest.raises(UserError, match=rf" {os.getpid()} "):
        sync(compose_config("sync", [f"folder={tmp_path}"]))


OVERRIDES = [
    "student.input_size=[64,64]", "window.seconds=null", "window.frames=25",
    "framework=paper", "training.epochs=1", "rate=0.2",
    "trainer.accelerator=cpu", "strategy=random", "output.figures=false",
]  # fmt: skip


@pytest.fixture
def overrides(
    human36m_tree: Path, student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [*OVERRIDES, f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}"]


@pytest.mark.slow
def test_a_local_run_is_delivered_later(overrides: list[str], tmp_path: Path) -> None:
    summary = online(compose_config("online", [*overrides, "logger=local"]))
    assert not (tmp_path / "mlruns").exists()
    [journal] = UNDELIVERED.glob("*.jsonl")
    uri = f"sqlite:///{tmp_path}/later/mlflow.db"
    assert sync(compose_config("sync", [f"tracking.uri={uri}"])) > 5
    assert not journal.exists()
    client = mlflow.MlflowClient(uri)
    [run] = client.search_runs([client.get_experiment_by_name("online").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["pose_oad.local_id"] == journal.stem
    assert run.data.tags["pose_oad.label"] == "random"
    assert run.data.params["rate"] == "0.2"
    assert run.data.metrics["final/mpjpe_px"] == pytest.approx(summary["mpjpe_px"])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "mpjpe_px")] == [24, 49, 74, 99, 107]
    assert "ledger.parquet" in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert sync(compose_config("sync", [])) == 0


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen]:
    """An MLflow server on this machine, over a store in a folder."""
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        connect(f"http://127.0.0.1:{port}")
        yield process
    finally:
        _kill(process)


def _kill(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


@pytest.mark.slow
def test_a_server_that_dies_in_mid_run_does_not_stop_it(overrides: list[str], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    cfg = compose_config("online", [*overrides, f"tracking.uri={uri}", "tracking.artifacts=null"])
    with server(tmp_path, port) as process:
        record = play(cfg, watchers=[lambda row: _kill(process) if row["window"] == 1 else None])
    assert record.summary["frames"] == 108
    journal = UNDELIVERED / f"{record.logger.run_id}.jsonl"
    assert journal.exists()
    with pytest.raises(UserError, match=r"tracking\.uri="):
        sync(compose_config("sync", []))
    with server(tmp_path, port):
        sync(compose_config("sync", []))
        assert not journal.exists()
        client = mlflow.MlflowClient(uri)
        history = client.get_metric_history(record.logger.run_id, "mpjpe_px")
        assert [point.step for point in history] == [24, 49, 74, 99, 107]
        assert client.get_run(record.logger.run_id).info.status == "FINISHED"
        assert "student.ckpt" in {artifact.path for artifact in client.list_artifacts(record.logger.run_id)}


def test_a_server_that_is_down_at_the_start_stops_the_run_before_any_work(overrides: list[str]) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri=.*logger=local"):
        online(compose_config("online", [*overrides, "tracking.uri=http://127.0.0.1:9"]))
    assert not Path("runs").exists()


def test_an_unknown_logger_is_refused(overrides: list[str]) -> None:
    with pytest.raises(UserError, match="logger=wandb: expected mlflow or local"):
        online(compose_config("online", [*overrides, "logger=wandb"]))


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(UserError, match=r"x.jsonl: "):
        sync(compose_config("sync", [f"folder={tmp_path}"]))


def test_the_last_step_of_a_local_run_is_in_its_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logger = RunLogger(local=True, experiment_name="e", tracking_uri="sqlite:///none.db")
    assert logger.last_step() == -1
    logger.log_metrics({"selected_total": 3.0, "other": 1.0}, step=24)
    logger.log_metrics({"selected_total": 6.0}, step=49)
    assert logger.last_step() == 49
    assert RunLogger(local=True, run_id=logger.run_id, tracking_uri="x").last_step() == 49
    assert not Path("none.db").exists()
