"""Do a run again from its logged configuration, and compare selection and errors with its ledger, window by window.

On the same machine, with the same versions and thread count, nothing may differ. Where something does, it is said
where, by how much, and what else is not as it was; the exit code is 1 then.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mlflow.tracking import MlflowClient
from omegaconf import DictConfig

from callbacks.ledger import read_ledger
from callbacks.progress import WindowProgress
from pose_oad.cli.assembly import plays_once
from pose_oad.cli.command import check_keys
from pose_oad.cli.online import play
from pose_oad.cli.resuming import find_run
from pose_oad.cli.run_config import read_config
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.schema import Text
from pose_oad.tracking.store import open_store

_LOG = logging.getLogger(__name__)

#: Tags that must agree before errors can be expected to.
_CIRCUMSTANCES = ("machine", "checkpoint.sha256", "mlflow.source.git.commit")


class LoggedRun(NamedTuple):
    """A run as it was logged: its id, configuration, ledger (a row per window) and tags."""

    run_id: str
    cfg: DictConfig
    rows: list[dict[str, Any]]
    tags: dict[str, str]


@dataclass
class Comparison:
    """What differs between a run and its replay.

    Attributes:
        windows: how many windows both have; ``missing``: how many only one of them has
        selections: windows in which other frames were chosen
        errors: largest difference of any logged error, px, by window, where there is one
        circumstances: what was not the same around the run, as ``name: before -> now``
    """

    windows: int = 0
    missing: int = 0
    selections: list[int] = field(default_factory=list)
    errors: dict[int, float] = field(default_factory=dict)
    circumstances: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether selection and errors agree exactly in every window."""
        return not (self.missing or self.selections or self.errors)


def main(cfg: DictConfig) -> Comparison:
    """Replay a run, that ``conf/replay.yaml`` with overrides names, and say what differs.

    Raises:
        UserError: if the run does not exist, is no online run, or cannot be played again.
        SystemExit: with exit code 1 if something differs.
    """
    check_keys(cfg, {"run": Text | int, "folder": Text})
    client = open_store(cfg.tracking.uri)
    logged = _load(client, cfg)
    again = logged.cfg
    check(not plays_once(again.stream), "run", cfg.run, "a run over videos: what a camera has shown is gone")
    again.tracking, again.output.folder = cfg.tracking, cfg.output.folder
    tags = {"pose_oad.kind": "replay", "pose_oad.replay_of": logged.run_id}
    record = play(again, tags, [WindowProgress()])
    found = compare(logged.rows, read_ledger(record.ledger.path))
    found.circumstances = changed(logged.tags, client.get_run(str(record.logger.run_id)).data.tags)
    record.logger.log_metrics({
        "replay/windows": found.windows, "replay/windows_with_other_selection": len(found.selections),
        "replay/largest_error_difference_px": max(found.errors.values(), default=0.0),
    })  # fmt: skip
    _report(found, logged.run_id)
    if not found.same:
        sys.exit(1)
    return found


def compare(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Comparison:
    """Compare the ledgers of a run and of its replay window by window."""
    found = Comparison(min(len(before), len(now)), abs(len(before) - len(now)))
    for old, new in zip(before, now, strict=False):
        if old["selected_frames"] != new["selected_frames"]:
            found.selections.append(old["window"])
        names = [name for name in old if name.startswith(("mpjpe_px", "teacher_distance_px"))]
        difference = max((_distance(old[name], new.get(name)) for name in names), default=0.0)
        if difference:
            found.errors[old["window"]] = difference
    return found


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """List what was not the same around two runs: machine, weights, commit, versions of libraries."""
    names = [*_CIRCUMSTANCES, *(name for name in before if name.startswith("version."))]
    return [f"{n}: {before[n]} -> {now.get(n, '?')}" for n in names if n in before and before[n] != now.get(n)]


def _distance(old: float | None, new: float | None) -> float:
    """Difference of two errors, px; a missing one differs from any number infinitely."""
    if old is None or new is None:
        return 0.0 if old is new else float("inf")
    return abs(old - new)


def _load(client: MlflowClient, cfg: DictConfig) -> LoggedRun:
    """Fetch a run's configuration, ledger and tags from the tracking store."""
    try:
        run_id = find_run("run", str(cfg.run), Path(cfg.folder)).name
    except UserError:  # of another machine, say: the store may know it all the same
        run_id = Path(str(cfg.run)).name
    try:
        run = client.get_run(run_id)
    except Exception as error:  # whatever the store raises for an id that it does not know
        known = f"no such run in {cfg.tracking.uri}; `make ui` lists the runs with their ids"
        raise UserError(f"run={cfg.run}: {known}") from error
    with tempfile.TemporaryDirectory() as folder:
        try:
            paths = [Path(client.download_artifacts(run_id, name, folder)) for name in ("config.yaml", "ledger.jsonl")]
        except Exception as error:  # whatever the artifact store raises
            lacking = "has no config.yaml and ledger.jsonl in the tracking store; expected a finished online run"
            raise UserError(f"run={cfg.run}: {lacking}") from error
        try:
            loaded, rows = read_config(paths[0], "online"), read_ledger(paths[1])
        except UserError as error:
            raise UserError(f"run={cfg.run}: {str(error).replace(f'{folder}/', '')}") from error
    if not rows:
        raise UserError(f"run={cfg.run}: its ledger is empty; expected a run of at least one window")
    return LoggedRun(run_id, loaded, rows, dict(run.data.tags))


def _report(found: Comparison, run_id: str) -> None:
    if found.same:
        _LOG.info("%s: the same selection and the same errors in all %d windows", run_id, found.windows)
    if found.missing:
        _LOG.warning("%s: %d windows are in one of the two runs only", run_id, found.missing)
    if found.selections:
        _LOG.warning("other frames chosen in windows %s", ", ".join(map(str, found.selections)))
    if found.errors:
        window, difference = max(found.errors.items(), key=lambda item: item[1])
        _LOG.warning("errors differ in %d windows, most in window %d: %g px", len(found.errors), window, difference)
    for line in found.circumstances:
        _LOG.warning("not as it was: %s", line)
