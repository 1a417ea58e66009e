"""One process of a study: takes a trial from the queue, plays its runs, says what came of it, takes the next."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.trial import FrozenTrial

from pose_oad.cli.command import compose_config
from pose_oad.cli.online import play
from pose_oad.cli.overrides import override
from pose_oad.studies import pruning
from pose_oad.studies.plan import Slot, Study, overrides
from pose_oad.studies.queue import TrialQueue, as_slot, is_duplicate, requeue, waiting
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.store import quiet_libraries

log = logging.getLogger(__name__)


class DuplicateTrialError(Exception):
    """Another worker is or was at the same work."""


@dataclass(frozen=True)
class Assignment:
    """What a worker needs to know: the study, its queue, and the study's own run in the tracking store.

    Attributes:
        settings: overrides of every trial
        modules: modules of the user's own whose classes trials may be made of
    """

    study: Study
    queue: TrialQueue
    settings: tuple[str, ...]
    parent: str
    tracking_uri: str
    experiment: str
    modules: tuple[str, ...] = ()

    def open(self) -> optuna.Study:
        """Open the study's queue."""
        return self.queue.open(self.study, requeue)

    def runs_of(self, trial: FrozenTrial) -> list[Run]:
        """Return the runs of a trial from the tracking store."""
        client = MlflowClient(self.tracking_uri)
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is None:
            return []
        chosen = f"tags.`mlflow.parentRunId` = '{self.parent}' and tags.`pose_oad.trial` = '{trial.number}'"
        return list(client.search_runs([experiment.experiment_id], chosen))

    def salvage(self, trial: FrozenTrial) -> list[float] | None:
        """Return the values of a dead worker's trial if its runs had finished; else close the runs."""
        runs = self.runs_of(trial)
        finished = [run for run in runs if run.info.status == "FINISHED"]
        # Without its curve, which is kept at the end, a reference would be no measure for pruning.
        if "seconds" in trial.user_attrs and len(finished) == len(trial.user_attrs["seeds"]):
            # What could not be measured is not in the store.
            values = [
                [run.data.metrics.get(f"final/{name}", math.inf) for run in finished] for name in self.study.objectives
            ]
            return [_mean(of_runs) for of_runs in values]
        self.close(runs)
        return None

    def close(self, runs: Sequence[Run]) -> None:
        """Mark runs that will not be finished."""
        for run in runs:
            MlflowClient(self.tracking_uri).set_terminated(run.info.run_id, "KILLED")


def work(assignment: Assignment, announce: Callable[[FrozenTrial], None] | None = None, parent_pid: int = 0) -> None:
    """Work through a study's queue until nobody has anything left to begin; announce every trial that has ended.

    Without the process that started it, ``parent_pid`` (0: none), a worker stops.

    Raises:
        UserError: if a trial's configuration or data cannot be used.
    """
    quiet_libraries()
    study = assignment.open()
    alone = not parent_pid and assignment.queue.url is None
    if not alone or any(trial.params for trial in study.get_trials(deepcopy=False)):
        # Samplers that began with the same seed would propose the same values, to other workers or once more.
        study.sampler.reseed_rng()
    after = [lambda _, trial: announce(trial)] if announce else []
    with assignment.queue.session() as name:
        while waiting(study):
            objective = partial(_objective, assignment, study, name, parent_pid)
            study.optimize(objective, n_trials=1, catch=(DuplicateTrialError, *_SURVIVABLE), callbacks=after)


# What may go wrong in one trial and leave the others meaningful, as memory that does not suffice for one network.
_SURVIVABLE = (RuntimeError, ArithmeticError, MemoryError)


def _objective(
    assignment: Assignment, study: optuna.Study, worker: str, parent_pid: int, trial: optuna.Trial
) -> float | tuple[float, ...]:
    """Play a trial's runs and return its values."""
    if "key" not in trial.user_attrs:
        # Somebody else took the last one between the look and the grasp.
        raise DuplicateTrialError
    trial.set_user_attr("worker", worker)
    if is_duplicate(study, trial):
        raise DuplicateTrialError
    slot = as_slot(trial.user_attrs)
    space, objectives = assignment.study.space if slot.sampled else {}, assignment.study.objectives
    point = [*slot.overrides, *overrides({key: entry.suggest(trial, key) for key, entry in space.items()})]
    results, curves = [], []
    for seed in slot.seeds:
        cfg = compose_config("online", [*assignment.settings, *point, override("seed.base", seed)])
        first = seed == slot.seeds[0]
        prunes = assignment.study.prune and slot.role == "strategy" and first
        reference = pruning.never_adapted(study, slot.seeds, point) if prunes else None
        watch = _Watch(trial if first and len(objectives) == 1 else None, reference, parent_pid)
        try:
            record = play(cfg, _tags(assignment, slot, point, trial), [watch.look])
        except optuna.TrialPruned:
            assignment.close(assignment.runs_of(study.trials[trial.number]))
            raise
        results.append(_measured(record.summary, objectives))
        curves.append(watch.curve.plain())
    trial.set_user_attr("curves", curves)
    trial.set_user_attr("seconds", sum(result["wall_clock_s"] for result in results))
    return tuple(_mean([result[name] for result in results]) for name in objectives)


def _tags(assignment: Assignment, slot: Slot, point: Sequence[str], trial: optuna.Trial) -> dict[str, str]:
    label = {"pose_oad.label": slot.label} if slot.label else {}
    return label | {
        "pose_oad.role": slot.role,
        "pose_oad.study": assignment.study.name,
        "pose_oad.point": " ".join(point),
        **({"pose_oad.stream": slot.stream} if slot.stream else {}),
        "pose_oad.trial": str(trial.number),
        "mlflow.parentRunId": assignment.parent,
    }


class _Watch:
    """Looks at a run window by window: keeps its curve, reports it, and gives the run up when it is hopeless."""

    def __init__(self, reports: optuna.Trial | None, reference: dict[str, list[Any]] | None, parent_pid: int) -> None:
        self.curve = pruning.ErrorCurve()
        self._reports, self._reference, self._parent_pid = reports, reference, parent_pid

    def look(self, row: Mapping[str, Any]) -> None:
        if self._parent_pid and os.getppid() != self._parent_pid:
            raise KeyboardInterrupt
        error = row.get("mpjpe_px", row.get("teacher_distance_px"))
        frames = row["last_frame"] - row["first_frame"] + 1
        self.curve.add(frames, float("nan") if error is None else error)
        if self._reports is not None:
            self._reports.report(self.curve.errors[-1], step=row["last_frame"])
        if self._reference is not None and pruning.is_hopeless(self.curve, self._reference):
            raise optuna.TrialPruned(f"after {self.curve.frames[-1]} frames no better than a student that never learns")


def _measured(summary: Mapping[str, float], objectives: Sequence[str]) -> dict[str, float]:
    """Return a run's summary: a student that lost everybody is as bad as can be; one without anybody is refused."""
    lost = [name for name in objectives if math.isnan(summary[name])]
    nobody = summary.get("evaluation_frames_without_person", 0)
    if lost and 0 < nobody == summary.get("evaluation_teacher_calls"):
        reason = f"cannot be measured, the teacher found nobody in {nobody:.0f} frames"
        raise UserError(f"study.objectives={lost[0]}: {reason}")
    return {**summary, **dict.fromkeys(lost, math.inf)}


def _mean(values: Sequence[float]) -> float:
    return float(sum(values) / len(values))
