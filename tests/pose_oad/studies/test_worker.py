"""What one process does with the queue, with runs that are played by a stand-in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, TrialState

from pose_oad.studies import worker
from pose_oad.studies.plan import Range, Reference, Study, slots
from pose_oad.studies.queue import TrialQueue, fill
from pose_oad.studies.worker import Assignment, work
from pose_oad.tracking.errors import UserError

Played = list[tuple[str, float, int, dict[str, str]]]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Runs that were played: strategy, rate, seed and tags. Three windows of 10 frames; the error is the rate's."""
    runs: Played = []

    def play(cfg: DictConfig, tags: dict[str, str], watchers: list[Any]) -> SimpleNamespace:
        name = cfg.strategy._target_.rpartition(".")[2].lower()
        runs.append((name, cfg.rate, cfg.seed.base, dict(tags)))
        error = {"nothing": 20.0, "random": 100 * cfg.rate, "uniform": 5.0}[name] + cfg.seed.base
        for index in range(3):
            for watcher in watchers:
                watcher({"first_frame": 10 * index, "last_frame": 10 * index + 9, "mpjpe_px": error})
        return SimpleNamespace(summary={"mpjpe_px": error, "teacher_calls": 7, "wall_clock_s": 1.5})

    monkeypatch.setattr(worker, "play", play)
    monkeypatch.setattr(Assignment, "runs_of", lambda self, trial: [])
    return runs


@pytest.fixture
def assign(queue: TrialQueue) -> Callable[[Study], Assignment]:
    def assigned(study: Study) -> Assignment:
        assignment = Assignment(study, queue, (), "parent", "sqlite:///none.db", "small")
        fill(assignment.open(), slots(study))
        return assignment

    return assigned


def test_every_trial_is_played_once_and_told(study: Study, assign: Callable, played: Played) -> None:
    assignment, announced = assign(study), list[FrozenTrial]()
    work(assignment, announced.append)
    assert [run[:3] for run in played] == [
        ("random", 0.1, 0), ("uniform", 0.1, 0), ("random", 0.1, 1), ("uniform", 0.1, 1)
    ]  # fmt: skip
    trials = assignment.open().get_trials()
    assert [trial.values for trial in trials] == [[10.0], [5.0], [11.0], [6.0]]
    assert [trial.number for trial in announced] == [0, 1, 2, 3]
    assert trials[0].intermediate_values == {9: 10.0, 19: 10.0, 29: 10.0}
    assert trials[0].user_attrs["curves"] == [{"frames": [10, 20, 30], "errors": [10.0] * 3}]
    assert played[0][3] == {
        "pose_oad.label": "random", "pose_oad.role": "strategy", "pose_oad.study": "small", "pose_oad.trial": "0",
        "pose_oad.point": "strategy=random", "mlflow.parentRunId": "parent",
    }  # fmt: skip
    work(assignment)
    assert len(played) == 4


def test_a_search_samples_and_takes_the_mean_over_seeds(assign: Callable, played: Played) -> None:
    study = Study(
        "small", "?", {"strategy": "random"}, seeds=[0, 2], space={"rate": Range(0.1, 0.2)}, trials=3,
        objectives=["mpjpe_px", "teacher_calls"], sampler={"_target_": "optuna.samplers.RandomSampler", "seed": 1},
    )  # fmt: skip
    assignment = assign(study)
    # The settings of the study are among those of the assignment.
    assignment = Assignment(study, assignment.queue, ("strategy=random",), "parent", "x", "small")
    object.__setattr__(assignment.queue, "name", "other")
    fill(assignment.open(), slots(study))
    work(assignment)
    trials = assignment.open().get_trials()
    assert len({trial.params["rate"] for trial in trials}) == 3
    for trial in trials:
        assert 0.1 <= trial.params["rate"] <= 0.2
        assert trial.values == pytest.approx([100 * trial.params["rate"] + 1, 7])
    assert [run[2] for run in played] == [0, 2] * 3
    assert "pose_oad.label" not in played[0][3]


def test_a_search_that_goes_on_does_not_propose_the_same_values_again(assign: Callable, played: Played) -> None:
    study = Study(
        "small", "?", {"strategy": "random"}, space={"rate": Range(0.1, 0.2)}, trials=2,
        sampler={"_target_": "optuna.samplers.TPESampler", "seed": 0}, objectives=["mpjpe_px"],
    )  # fmt: skip
    for trials in (2, 4):
        study = replace(study, trials=trials)
        assignment = replace(assign(study), settings=("strategy=random",))
        work(assignment)
    assert len({trial.params["rate"] for trial in assignment.open().get_trials()}) == 4


def test_a_hopeless_trial_is_given_up(assign: Callable, played: Played) -> None:
    study = Study(
        "small", "?", grid={"strategy": ["random"], "rate": [0.1, 0.9]}, prune=True,
        references=[Reference("never adapted", {"strategy": "none"})], objectives=["mpjpe_px"],
    )  # fmt: skip
    assignment = assign(study)
    work(assignment)
    trials = assignment.open().get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED]
    assert list(trials[2].intermediate_values) == [9]  # a third of the stream, and no further


def test_one_broken_trial_leaves_the_others(study: Study, assign: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(cfg: DictConfig, tags: dict[str, str], watchers: list[Any]) -> SimpleNamespace:
        if cfg.strategy._target_.endswith("Uniform"):
            raise RuntimeError("out of memory")
        return SimpleNamespace(summary={"mpjpe_px": 1.0, "wall_clock_s": 1.0})

    monkeypatch.setattr(worker, "play", play)
    assignment = assign(study)
    work(assignment)
    assert [trial.state.name for trial in assignment.open().get_trials()] == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]


def test_a_users_mistake_ends_the_study(study: Study, assign: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(*_: object) -> None:
        raise UserError("stream.root=x: expected a tree")

    monkeypatch.setattr(worker, "play", play)
    assignment = assign(study)
    with pytest.raises(UserError, match=r"stream\.root=x"):
        work(assignment)
    assert [trial.state.name for trial in assignment.open().get_trials()] == ["FAIL", "WAITING", "WAITING", "WAITING"]


def test_a_trial_out_of_nowhere_is_refused(study: Study, assign: Callable, played: Played) -> None:
    """Optuna makes a new trial when another worker has taken the last one just before."""
    opened = assign(study).open()
    for _ in range(4):
        opened.ask()
    assignment = assign(study)
    opened.optimize(
        lambda trial: worker._objective(assignment, opened, "me", 0, trial),
        n_trials=1,
        catch=worker.DuplicateTrialError,
    )
    assert opened.get_trials()[-1].state == TrialState.FAIL
    assert not played


def test_a_worker_stops_when_its_parent_is_gone(study: Study, assign: Callable, played: Played) -> None:
    assignment = assign(study)
    with pytest.raises(KeyboardInterrupt):
        work(assignment, parent_pid=1_000_000_000)
    assert not assignment.open().get_trials(states=(TrialState.COMPLETE,))


def test_a_study_without_anybody_to_measure_stops_with_a_sentence(
    study: Study, assign: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"evaluation_frames_without_person": 40, "evaluation_teacher_calls": 40.0}
    summary = {"mpjpe_px": math.nan, "wall_clock_s": 1.0, **counts}
    monkeypatch.setattr(worker, "play", lambda *_: SimpleNamespace(summary=summary))
    with pytest.raises(UserError, match=r"objectives=mpjpe_px.*40 frames"):
        work(assign(study))


def test_a_run_that_lost_everybody_is_the_worst(
    study: Study, assign: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = {"mpjpe_px": math.nan, "wall_clock_s": 1.0, "evaluation_teacher_calls": 0.0}
    monkeypatch.setattr(worker, "play", lambda *_: SimpleNamespace(summary=summary))
    assignment = assign(study)
    work(assignment)
    assert {trial.value for trial in assignment.open().get_trials()} == {math.inf}
