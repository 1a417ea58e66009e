"""Everything around the workers of a study: what must be made first, the study's own run, progress, and the end."""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from filelock import FileLock
from mlflow.tracking import MlflowClient
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from pose_oad.cli.command import check_keys, trust
from pose_oad.studies.plan import Study, check_slots, overrides, slots, with_measurable_objectives
from pose_oad.studies.queue import TrialQueue, fill, recover, requeue
from pose_oad.studies.worker import Assignment, work
from pose_oad.tracking.errors import UserError, reason_of
from pose_oad.tracking.schema import Count, Text
from pose_oad.tracking.store import make_logger, quiet_libraries

log = logging.getLogger(__name__)

_POLL = 0.5  # s between two looks at the queue


def run_study(cfg: DictConfig) -> dict[str, int]:
    """Run a study, or go on with it where it was; return the number of trials by Optuna's state, in small letters.

    Raises:
        UserError: if the configuration, the storage or the data cannot be used.
    """
    quiet_libraries()
    study = Study.of(cfg.study)
    check_keys(cfg, {"workers": Count, "threads": Count, "folder": Text, "cache": Text | None, "storage": Text | None})
    listed = slots(study)
    settings = _settings(cfg, study)
    study = with_measurable_objectives(study, check_slots(study, settings, listed))
    queue = TrialQueue(Path(cfg.folder), cfg.storage, study.name)
    opened = queue.open(study, requeue)
    _prepare(study, Path(cfg.folder))
    parent = _parent_run(cfg, study, opened)
    store = str(cfg.tracking.uri), str(cfg.tracking.experiment)
    assignment = Assignment(study, queue, settings, parent, *store, tuple(cfg.modules))
    with queue.planning():
        again = recover(opened, queue, assignment.salvage)
        added = fill(opened, listed)
    ended = len(opened.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))
    log.info("study %s: %d trials, %d of them done before", study.name, len(listed), ended)
    if again:
        log.info("%d trials that a stopped worker had begun are repeated", again)
    started = time.perf_counter()
    _work(assignment, opened, cfg.workers, _announcer(study, len(listed), ended))
    if added or again:
        log.info("done in %.0f s", time.perf_counter() - started)
    return _close(assignment, opened)


def _settings(cfg: DictConfig, study: Study) -> tuple[str, ...]:
    """Return the overrides of every trial; they share decoded frames, draw no figures and start anew when killed."""
    folder = Path(cfg.folder)
    fixed = {f"tracking.{key}": cfg.tracking[key] for key in ("uri", "artifacts", "experiment")} | {
        "output.folder": str(folder / "runs"), "output.figures": False, "output.resumable": False,
        "window.cache": cfg.cache, "threads": cfg.threads,
    }  # fmt: skip
    return (*overrides(fixed), *overrides(study.set))


def _prepare(study: Study, folder: Path) -> None:
    """Make the files that trials share and that are not there yet."""
    for step in study.prepare:
        path = Path(step.make)
        with FileLock(folder / "prepare.lock"):
            if path.exists():
                continue
            log.info("%s: made first, by %s", path, step.command)
            command = [sys.executable, "-m", "pose_oad.cli", step.command, *overrides(step.set)]
            done = subprocess.run(command, check=False)
        if done.returncode or not path.exists():
            raise UserError(f"study.prepare: {' '.join(command[1:])} did not make {path} (exit code {done.returncode})")


def _parent_run(cfg: DictConfig, study: Study, opened: optuna.Study) -> str:
    """Return the id of the study's own run in the tracking store, made if it is new there."""
    known = opened.user_attrs.get("run")
    if known is not None:
        try:
            MlflowClient(str(cfg.tracking.uri)).update_run(known, status="RUNNING")
        except Exception as error:  # whatever the store's driver raises
            lacking = f"does not hold the run {known} of study {study.name} ({reason_of(error)})"
            expected = "expected the store it was begun with, or another study.name"
            raise UserError(f"tracking.uri={cfg.tracking.uri}: {lacking}; {expected}") from error
        return str(known)
    tags = {"pose_oad.kind": "study", "pose_oad.study": study.name, "mlflow.note.content": study.question}
    stated = {"baseline": study.baseline, "equivalence_px": study.equivalence_px}
    tags |= {f"pose_oad.{key}": str(value) for key, value in stated.items() if value is not None}
    token = opened.user_attrs.get("token", uuid.uuid4().hex)
    opened.set_user_attr("token", token)  # first: killed in between, the run is found by it
    logger = make_logger(cfg, study.name, tags, token=token)
    opened.set_user_attr("run", logger.run_id)
    return str(logger.run_id)


def _work(assignment: Assignment, opened: optuna.Study, workers: int, announce: Callable[[FrozenTrial], None]) -> None:
    if workers == 1:
        work(assignment, announce)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of loaded libraries
    target = partial(_worker_process, assignment, os.getpid())
    processes = [context.Process(target=target, name=f"worker {n}") for n in range(workers)]
    seen = {t.number for t in opened.get_trials(deepcopy=False) if t.state.is_finished()}
    for process in processes:
        process.start()
    try:
        while True:
            running = any(process.is_alive() for process in processes)
            for trial in opened.get_trials(deepcopy=False):
                if trial.state.is_finished() and trial.number not in seen:
                    seen.add(trial.number)
                    announce(trial)
            if not running:
                break
            time.sleep(_POLL)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    if 2 in (process.exitcode for process in processes):
        raise UserError("study: a trial was refused, see above")


def _worker_process(assignment: Assignment, parent_pid: int) -> None:
    """Be one of several workers: a user's mistake ends it with one line and exit code 2, as in a command."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        trust(assignment.modules)
        work(assignment, parent_pid=parent_pid)
    except UserError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _announcer(study: Study, total: int, ended: int) -> Callable[[FrozenTrial], None]:
    """Return what says a line about every trial that has ended."""

    def announce(trial: FrozenTrial) -> None:
        nonlocal ended
        if "key" not in trial.user_attrs:
            return
        ended += trial.state != TrialState.FAIL
        attributes = trial.user_attrs
        name = " ".join(filter(None, [attributes["label"], *(f"{k}={v:.4g}" for k, v in _numbers(trial))]))
        said = {TrialState.PRUNED: "given up", TrialState.FAIL: "failed"}.get(trial.state)
        if said is None:
            values = [f"{key} {value:.4g}" for key, value in zip(study.objectives, trial.values, strict=True)]
            said = ", ".join([*values, f"{attributes['seconds']:.1f} s"])
        which = " ".join(filter(None, [attributes.get("stream"), "seed", ", ".join(map(str, attributes["seeds"]))]))
        log.info("%d/%d  %s, %s: %s", ended, total, name, which, said)

    return announce


def _numbers(trial: FrozenTrial) -> list[tuple[str, float]]:
    return [(key, value) for key, value in trial.params.items() if isinstance(value, int | float)]


def _close(assignment: Assignment, opened: optuna.Study) -> dict[str, int]:
    """Close the study's own run, say what came of its trials, and count them."""
    trials = opened.get_trials(deepcopy=False)
    counts = count_slots(trials)
    client = MlflowClient(assignment.tracking_uri)
    for name, count in counts.items():
        client.log_metric(assignment.parent, f"trials/{name}", count)
    if not counts["running"] + counts["waiting"]:
        client.set_terminated(assignment.parent, "FINISHED")
    _print_table(assignment.study, trials)
    return counts


def count_slots(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Count what a study consists of by how far it has come, by Optuna's state in small letters.

    A slot can have several trials: those that a killed worker left, and the one that took their place; the furthest
    counts.
    """
    order = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL)
    ranks = {"key": [t.user_attrs.get("key") for t in trials], "rank": [order.index(t.state) for t in trials]}
    furthest = pd.DataFrame(ranks).groupby("key")["rank"].min()
    return {state.name.lower(): int((furthest == rank).sum()) for rank, state in enumerate(order)}


def _print_table(study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Print the mean of every objective by point."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    table = Table(title=f"{study.name}: {study.question}")
    for column in ("", "point", *study.objectives, "runs"):
        table.add_column(column, justify="left" if column in ("", "point") else "right", overflow="fold")
    named = {key: [trial.user_attrs[key] for trial in done] for key in ("label", "point")}
    for (label, point), same in pd.DataFrame({**named, "trial": done}).groupby(["label", "point"], sort=False)["trial"]:
        sampled = " ".join(f"{key}={value:.4g}" for key, value in _numbers(same.iloc[0]))
        values = np.mean([trial.values for trial in same], axis=0)
        runs = sum(len(trial.user_attrs["seeds"]) for trial in same)
        table.add_row(label, sampled or point, *(f"{value:.4g}" for value in values), str(runs))
    Console().print(table)
    log.info("make report STUDY=%s draws the figures", study.name)
