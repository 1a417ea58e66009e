"""Runs of a tracking store: which were asked for, what each recorded, and its ledger."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pose_oad.tracking.errors import UserError, nearest

_log = logging.getLogger(__name__)

#: Kinds of runs that a report shows.
REPORTED = ("online", "finetune")


@dataclass(frozen=True)
class RunData:
    """What a run recorded.

    Attributes:
        status: FINISHED, FAILED, RUNNING, …
        params: the resolved configuration as text, by dotted key
        metrics: the last value of each metric, by name
        started: local time; ``ended`` is None if it has not
    """

    run_id: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    started: datetime
    ended: datetime | None

    @property
    def kind(self) -> str:
        """online, finetune, study or replay; empty for a run that says nothing about it."""
        return self.tags.get("pose_oad.kind", "")

    @property
    def study(self) -> str:
        """The study it belongs to; empty for a single run."""
        return self.tags.get("pose_oad.study", "")

    @property
    def is_reference(self) -> bool:
        """Whether it is shown for comparison only."""
        return self.tags.get("pose_oad.role") == "reference"

    @property
    def label(self) -> str:
        """What tables call it; the strategy's class where the run has no label."""
        return self.tags.get("pose_oad.label") or self.params.get("strategy._target_", "–").rpartition(".")[2].lower()

    @property
    def checkpoint(self) -> str:
        """What tells its pre-trained weights from others: their SHA-256, or where that was not kept the file's name."""
        return self.tags.get("checkpoint.sha256") or self.params.get("checkpoint", "")

    @cached_property
    def seed(self) -> str:
        """Canonical text of its seeds; runs of the same seeds can be paired."""
        base = self.params.get("seed.base", "–")
        own = [f"{k}={v}" for k, v in sorted(self.params.items()) if k.startswith("seed.") and v != base]
        return " ".join([base, *own])

    @property
    def stream(self) -> str:
        """The stream of a study that has several; empty otherwise."""
        return self.tags.get("pose_oad.stream", "")

    @property
    def unit(self) -> tuple[str, str]:
        """What is repeated: the stream, in which seeds are nested, or without streams the seed; and the seed."""
        return self.stream or self.seed, self.seed

    @property
    def repetition(self) -> str:
        """Stream and seed as text."""
        return ", ".join(filter(None, [self.stream, f"seed {self.seed}"]))

    @property
    def rate(self) -> float | None:
        """Share of the frames it was allowed to label; None for a reference that has no budget.

        A reference that labels nothing or everything carries a rate in its configuration like any other run: the number
        of labelled frames tells whether it obeyed it.
        """
        rate = _number(self.params.get("rate"))
        if rate is None or not self.is_reference:
            return rate
        selected, frames = self.metrics.get("final/selected", 0.0), self.metrics.get("final/frames", 0.0)
        return rate if 0 < selected <= rate * frames + 1 else None

    def final(self, name: str) -> float:
        """Return a final metric, NaN where the run has none of that name."""
        return self.metrics.get(f"final/{name}", float("nan"))


@dataclass(frozen=True)
class Selection:
    """The runs of a report.

    Attributes:
        runs: finished runs of the reported kinds, oldest first
        parent: the study's own run; None where the report is not of one study
        left_out: how many runs were left out, by reason
    """

    runs: tuple[RunData, ...]
    parent: RunData | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def of_kind(self, kind: str) -> list[RunData]:
        """Return the runs of a kind."""
        return [run for run in self.runs if run.kind == kind]

    def left_out_text(self) -> str:
        """Say what was left out: ``3 runs left out: 2 FAILED, 1 RUNNING``."""
        if not (total := self.left_out.total()):
            return "no run left out"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())
        return f"{total} run{'s' * (total > 1)} left out: {reasons}"


def load_runs(
    client: MlflowClient,
    study: str | None = None,
    experiments: Sequence[str] | None = None,
    run_ids: Sequence[str] | None = None,
) -> Selection:
    """Read the runs of a report: of one study, some experiments, some ids; None does not choose.

    Raises:
        UserError: if a name or id is unknown, or no finished run is left.
    """
    ids = {experiment.name: experiment.experiment_id for experiment in client.search_experiments()}
    wanted = list(ids) if experiments is None else list(experiments)
    _check_known("experiments", wanted, ids)
    found = _search(client, [ids[name] for name in wanted])
    if run_ids is not None:
        _check_known("runs", run_ids, {run.run_id for run in found})
        found = [run for run in found if run.run_id in set(run_ids)]
    if study is not None:
        _check_known("study_name", [study], {run.study for run in found} - {""})
        found = [run for run in found if run.study == study]
    parents = [run for run in found if study is not None and run.kind == "study"]
    trials = [run for run in found if run.kind != "study"]
    reasons = {run.run_id: _left_out(run) for run in trials}
    finished = [run for run in trials if not reasons[run.run_id]]
    left_out = Counter(filter(None, reasons.values()))
    selection = Selection(tuple(finished), parents[-1] if parents else None, left_out)
    if not finished:
        where = f"study_name={study}" if study else "tracking.uri"
        raise UserError(f"{where}: no finished run of kind {' or '.join(REPORTED)} ({selection.left_out_text()})")
    return selection


def _check_known(key: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            what = {"runs": "run", "experiments": "experiment"}.get(key, "study")
            hint = nearest(name, known) if known else f"; there is no {what} in it"
            raise UserError(f"{key}={name}: no such {what} in the store{hint}")


def _left_out(run: RunData) -> str:
    """Say why a run takes no part in a report; empty if it does."""
    if run.kind not in REPORTED:
        return f"of kind {run.kind}" if run.kind else "without the tag pose_oad.kind"
    return "" if run.status == "FINISHED" else run.status


def _search(client: MlflowClient, experiment_ids: list[str]) -> list[RunData]:
    found: list[RunData] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            experiment_ids, order_by=["start_time ASC"], max_results=1000, page_token=token or None
        )
        found += map(_run_data, page)
        token = page.token or None
    return found


def _run_data(run: Run) -> RunData:
    info, data = run.info, run.data
    started, ended = (time and datetime.fromtimestamp(time / 1000) for time in (info.start_time, info.end_time))
    return RunData(
        info.run_id, info.status, dict(data.tags), dict(data.params), dict(data.metrics), started, ended or None
    )


class Ledgers:
    """The ledgers of runs, fetched when first asked for.

    Attributes:
        missing: ids of runs that were asked for their ledger and have none that can be read
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self.missing: list[str] = []
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, run: RunData) -> list[dict[str, Any]]:
        """Return a row per window, in their order; none where the run has no ledger."""
        if run.run_id not in self._rows:
            self._rows[run.run_id] = self._fetch(run)
        return self._rows[run.run_id]

    def _fetch(self, run: RunData) -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = self._client.download_artifacts(run.run_id, "ledger.parquet", folder)
                return list(pq.read_table(path).to_pylist())
            except (MlflowException, OSError, pa.ArrowException) as error:
                _log.debug("run %s: no ledger: %s", run.run_id, error)
                self.missing.append(run.run_id)
                return []


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
