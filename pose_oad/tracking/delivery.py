"""Tracking that is never the reason a run is lost: what cannot be delivered is kept, and delivered later.

A tracking store is asked at the start of a run, when nothing is lost by an error. After that, a call that fails is
written to a journal, a file per run, and the run goes on. ``make sync`` delivers the journals.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from lightning.pytorch.loggers import MLFlowLogger
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from pose_oad.tracking.errors import UnwritableError, reason_of
from pose_oad.tracking.files import append_lines, cut_torn_line, replacing, writing

_LOG = logging.getLogger(__name__)

#: Where journals are, relative to the working folder.
UNDELIVERED = Path("runs/undelivered")

# After a failure, seconds until the store is tried again: a call to a dead server takes seconds to fail.
_PAUSE = 60.0

# What MLflow's pages show of an experiment: its description, and the columns of training instead of those of chats.
_ABOUT = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "Runs of pose_oad: a small pose network learns at its camera from a large teacher. "
    "error_px is the mean error of the stream before training on it, gain_px by how much it is less than that of the "
    "student that never adapts; everything else of a finished run is final/…, its curves are by window.",
}

Entry = dict[str, Any]


class Journal:
    """Calls that are still to be delivered, a line each, under a first line that says where to: a store and a run."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path, self.header = path, dict(header)

    @classmethod
    def read(cls, path: Path) -> tuple[Journal, list[Entry]]:
        """Read a journal, or raise ValueError; a last line cut off by a kill is left out."""
        lines = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        if not lines or "uri" not in lines[0]:
            raise ValueError("no journal of undelivered records")
        return cls(path, lines[0]), lines[1:]

    def append(self, entry: Entry) -> None:
        """Keep one call; an UnwritableError says that it cannot be, as on a full disk."""
        with self._alone():
            cut_torn_line(self.path)
            begun = self.path.exists() and self.path.stat().st_size
            append_lines(self.path, _lines([entry] if begun else [self.header, entry]))

    def drop(self, count: int) -> None:
        """Take out the first calls; without any left the file goes away. What was added meanwhile is kept."""
        with self._alone():
            journal, entries = Journal.read(self.path)
            if len(entries) <= count:
                self.path.unlink()
                return
            with replacing(self.path) as partial:
                partial.write_text(_lines([journal.header, *entries[count:]]))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from changing journals of the folder."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.parent / ".lock"):
                yield


def _lines(entries: Iterable[Entry]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


class DeliveringClient:
    """The calls of MLflow's client by which a run is recorded; what fails, or all without one, goes to the journal."""

    def __init__(self, client: MlflowClient | None, journal: Journal) -> None:
        self.client, self.journal = client, journal
        self._try_again = 0.0 if client is not None else float("inf")

    def log_batch(
        self,
        run_id: str,
        metrics: Iterable[Metric] = (),
        params: Iterable[Param] = (),
        tags: Iterable[RunTag] = (),
        **_: Any,
    ) -> None:
        """Record metrics, parameters and tags."""
        self._do({
            "call": "log_batch",
            "metrics": [[m.key, float(m.value), m.timestamp, m.step] for m in metrics],
            "params": [[p.key, p.value] for p in params],
            "tags": [[t.key, t.value] for t in tags],
        }, run_id)  # fmt: skip

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Record a tag."""
        self.log_batch(run_id, tags=[RunTag(key, value)])

    def log_dataset(self, run_id: str, dataset: Mapping[str, str]) -> None:
        """Record what a run has learnt from, as the arguments of :class:`mlflow.entities.Dataset`."""
        self._do({"call": "log_dataset", "dataset": dict(dataset)}, run_id)

    def log_artifacts(self, run_id: str, local_dir: str) -> None:
        """Record the files of a folder, without those of folders in it."""
        self._do({"call": "log_artifacts", "folder": str(Path(local_dir).resolve())}, run_id)

    def set_terminated(self, run_id: str, status: str) -> None:
        """Close the run."""
        self._do({"call": "set_terminated", "status": status, "end_time": int(time.time() * 1000)}, run_id)

    def __getattr__(self, name: str) -> Any:
        """Hand everything else to MLflow's client: it reads, and may fail."""
        return getattr(self.client, name)

    def _do(self, entry: Entry, run_id: str) -> None:
        if self.client is not None and time.monotonic() >= self._try_again:
            try:
                deliver(self.client, run_id, entry)
                return
            except Exception as error:  # whatever the store raises, it is no reason to lose the run
                if self._try_again == 0:
                    said = "tracking.uri=%s: %s; the run goes on, records are kept in %s until `make sync`"
                    _LOG.warning(said, self.journal.header["uri"], reason_of(error), self.journal.path)
                self._try_again = time.monotonic() + _PAUSE
        self.journal.append(entry)


def deliver(client: MlflowClient, run_id: str, entry: Entry) -> None:
    """Make one call that was kept.

    Metrics carry the time at which they were measured: a store that has them already takes them once.
    """
    if entry["call"] == "log_batch":
        metrics = [Metric(*values) for values in entry["metrics"]]
        params = [Param(*pair) for pair in entry["params"]]
        client.log_batch(run_id, metrics=metrics, params=params, tags=[RunTag(*pair) for pair in entry["tags"]])
    elif entry["call"] == "log_dataset":
        context = [InputTag(MLFLOW_DATASET_CONTEXT, "training")]
        client.log_inputs(run_id, [DatasetInput(Dataset(**entry["dataset"]), context)])
    elif entry["call"] == "log_artifacts":
        for path in sorted(Path(entry["folder"]).iterdir()):
            if path.is_file():  # a folder in a run's folder is what it goes on from
                client.log_artifact(run_id, str(path))
    elif entry["call"] == "set_terminated":
        client.set_terminated(run_id, entry["status"], entry["end_time"])
    else:
        raise ValueError(f"unknown call {entry['call']}")


class RunLogger(MLFlowLogger):
    """Lightning's MLflow logger that keeps in a journal what it cannot deliver; a local one keeps everything."""

    def __init__(self, *, local: bool = False, **options: Any) -> None:
        uri = options.pop("tracking_uri")
        # Lightning makes a client at once, and a file store's client makes the file; one of a server does nothing yet.
        super().__init__(tracking_uri="http://127.0.0.1" if local else uri, **options)
        self._tracking_uri = uri
        if local:
            self._run_id = self._run_id or uuid.uuid4().hex
            self._initialized = True
        else:
            _ = super().run_id  # asks the store, and creates the run
        self.journal = Journal(UNDELIVERED / f"{self._run_id}.jsonl", {
            "uri": self._tracking_uri, "run_id": None if local else self._run_id, "local_id": self._run_id,
            "experiment": self._experiment_name, "artifacts": self._artifact_location,
            "tags": {**(self.tags or {}), "mlflow.runName": self._run_name},
        })  # fmt: skip
        client = DeliveringClient(None if local else self._mlflow_client, self.journal)
        self._mlflow_client: Any = client  # what Lightning's logger calls

    def finalize(self, status: str = "success") -> None:
        """Close the run as Lightning asks; of one that fails, what it fails by is what the user must hear."""
        status = {"success": "FINISHED", "finished": "FINISHED", "failed": "FAILED"}.get(status, status)
        with suppress(UnwritableError) if status == "FAILED" else nullcontext():
            self.experiment.set_terminated(str(self.run_id), status)

    def last_step(self, metric: str = "selected_total") -> int:
        """Return the largest step at which a metric has been recorded, delivered or kept; -1 before the first."""
        steps = [-1]
        if self.experiment.client is not None:
            steps += [point.step for point in self.experiment.get_metric_history(self.run_id, metric)]
        if self.journal.path.exists():
            _, entries = Journal.read(self.journal.path)
            steps += [step for _, _, _, step in _metrics(entries, metric)]
        return max(steps)


def _metrics(entries: Iterable[Entry], key: str) -> Iterator[list[Any]]:
    for entry in entries:
        yield from (values for values in entry.get("metrics", ()) if values[0] == key)


def deliver_journal(path: Path, uri: str | None, connect: Callable[[str], MlflowClient]) -> int:
    """Deliver what a journal holds, in order, to a store or where its run wanted it; return how many calls were made.

    What has been delivered is taken out, also when a later call fails. A kill leaves everything in it: each call can be
    made twice, and changes nothing the second time.
    """
    journal, entries = Journal.read(path)
    client = connect(uri or journal.header["uri"])
    run_id = journal.header["run_id"] or _run_of(client, journal.header)
    done = 0
    try:
        for entry in entries:
            deliver(client, run_id, entry)
            done += 1
    finally:
        journal.drop(done)
    return done


def _run_of(client: MlflowClient, header: Mapping[str, Any]) -> str:
    """Return the run of a journal that was begun without a store: made once, and found again by its tag."""
    experiment, local_id = ensure_experiment(client, header["experiment"], header["artifacts"]), header["local_id"]
    if run_id := tagged_run(client, experiment, "pose_oad.local_id", local_id):
        return run_id
    tags = {key: value for key, value in header["tags"].items() if value is not None}
    return str(client.create_run(experiment, tags=tags | {"pose_oad.local_id": local_id}).info.run_id)


def tagged_run(client: MlflowClient, experiment: str, tag: str, value: str) -> str | None:
    """Return the id of the run of an experiment (its id) that carries a tag; None where there is none."""
    runs = client.search_runs([experiment], f"tags.`{tag}` = '{value}'")
    return str(runs[0].info.run_id) if runs else None


def ensure_experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """Return the id of an experiment, made if it is new; another process may be making it at the same time."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifacts, _ABOUT))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    return str(experiment.experiment_id)
