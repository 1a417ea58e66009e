"""No trial is lost, none is done twice, whatever happens to a worker."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from pose_oad.studies.plan import Range, Study, slots
from pose_oad.studies.queue import TrialQueue, as_slot, fill, is_duplicate, recover, requeue, waiting
from pose_oad.studies.runner import count_slots
from pose_oad.tracking.errors import UserError


def claim(opened: optuna.Study, worker: str) -> optuna.Trial:
    trial = opened.ask()
    trial.set_user_attr("worker", worker)
    return trial


def lost(trial: FrozenTrial) -> None:
    """Salvage nothing."""


def states(opened: optuna.Study) -> dict[str, list[str]]:
    """State names of every slot's trials."""
    found: dict[str, list[str]] = {}
    for trial in opened.get_trials():
        found.setdefault(trial.user_attrs["key"], []).append(trial.state.name)
    return found


def test_a_queue_is_filled_once(study: Study, queue: TrialQueue) -> None:
    listed = slots(study)
    opened = queue.open(study)
    assert (fill(opened, listed), fill(opened, listed)) == (4, 0)
    assert fill(queue.open(study), listed) == 0
    assert waiting(opened) == 4
    assert [as_slot(trial.user_attrs) for trial in opened.get_trials()] == listed
    assert queue.open(study).metric_names == list(study.objectives)


def test_a_failed_trial_is_tried_again_and_a_finished_one_is_not(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study))
    opened.tell(claim(opened, "a"), 1.0)
    opened.tell(claim(opened, "a"), state=TrialState.FAIL)
    claim(opened, "a")
    assert fill(opened, slots(study)) == 1
    assert sorted(states(opened).values()) == [["COMPLETE"], ["FAIL", "WAITING"], ["RUNNING"], ["WAITING"]]


def test_only_a_dead_workers_trial_is_put_back(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study))
    with queue.session() as alive:
        claim(opened, alive)
        with queue.session() as dead:
            claim(opened, dead)
        assert recover(opened, queue, lost) == 1
        assert recover(opened, queue, lost) == 0
        assert sorted(states(opened).values()) == [["FAIL", "WAITING"], ["RUNNING"], ["WAITING"], ["WAITING"]]
    assert recover(opened, queue, lost) == 1


def _hold_a_trial(study: Study, queue: TrialQueue, ready: multiprocessing.synchronize.Event) -> None:
    opened = queue.open(study)
    with queue.session() as name:
        claim(opened, name)
        ready.set()
        signal.pause()


def test_a_killed_process_is_dead(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study))
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold_a_trial, args=(study, queue, ready))
    process.start()
    assert ready.wait(60)
    [running] = opened.get_trials(states=(TrialState.RUNNING,))
    assert not queue.is_dead(running)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert queue.is_dead(running)
    assert recover(opened, queue, lost) == 1


def test_other_machines_workers_are_left_to_the_heartbeat(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study))
    claim(opened, "elsewhere:/tmp/1.lock")
    assert recover(opened, queue, lost) == 0


def test_behind_a_database_an_unknown_lock_is_left_to_the_heartbeat(study: Study, tmp_path: Path) -> None:
    queue = TrialQueue(tmp_path, f"sqlite:///{tmp_path}/study.db", "small")
    opened = queue.open(study)
    fill(opened, slots(study))
    claim(opened, f"{socket.gethostname()}:{tmp_path}/elsewhere.lock")
    assert recover(opened, queue, lost) == 0


def test_a_machine_that_fell_silent_loses_its_trial(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pose_oad.studies.queue._HEARTBEAT", 1)
    queue = TrialQueue(tmp_path, f"sqlite:///{tmp_path}/study.db", "small")
    opened = queue.open(study, requeue)
    fill(opened, slots(study))
    trial = claim(opened, "elsewhere:/tmp/1.lock")
    opened._storage.record_heartbeat(trial._trial_id)  # as its worker did before it died
    assert (recover(opened, queue, lost), waiting(opened)) == (0, 3)
    time.sleep(3.5)
    recover(opened, queue, lost)
    assert waiting(opened) == 4
    assert states(opened)[trial.user_attrs["key"]] == ["FAIL", "WAITING"]


def test_what_had_finished_is_not_repeated(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study))
    with queue.session() as dead:
        claim(opened, dead)
    assert recover(opened, queue, lambda trial: [12.5]) == 0
    [done] = opened.get_trials(states=(TrialState.COMPLETE,))
    assert done.values == [12.5]
    assert waiting(opened) == 3


def test_sampled_values_are_kept_when_a_trial_is_put_back(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study)[:1])
    with queue.session() as dead:
        claim(opened, dead).suggest_float("rate", 0.0, 1.0)
    [before] = opened.get_trials()
    recover(opened, queue, lost)
    assert claim(opened, "b").suggest_float("rate", 0.0, 1.0) == before.params["rate"]


def test_the_later_of_two_equal_trials_is_the_duplicate(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    [slot] = slots(study)[:1]
    fill(opened, [slot])
    requeue(opened, opened.get_trials()[0])
    first, second = opened.ask(), opened.ask()
    assert (is_duplicate(opened, first), is_duplicate(opened, second)) == (False, True)
    opened.tell(first, state=TrialState.FAIL)
    assert not is_duplicate(opened, second)


def test_a_line_cut_off_by_a_crash_does_not_spoil_the_journal(study: Study, queue: TrialQueue) -> None:
    fill(queue.open(study), slots(study))
    journal = queue.folder / "journal.log"
    whole = journal.read_text()
    journal.write_text(whole + whole.splitlines()[-1][:25])
    opened = queue.open(study)
    assert waiting(opened) == 4
    opened.tell(opened.ask(), 1.0)
    assert waiting(queue.open(study)) == 3
    for line in journal.read_text().splitlines():
        json.loads(line)


def test_a_study_cannot_go_on_with_other_settings(study: Study, queue: TrialQueue) -> None:
    begun = replace(study, set={"rate": 0.01})
    queue.open(begun)
    queue.open(replace(begun, seeds=[0, 1, 2]))
    with pytest.raises(UserError, match=r"study.name=small: .*\(rate=0.01, rate=0.5\)"):
        queue.open(replace(study, set={"rate": 0.5}))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "storage=nonsense: cannot be used"),
        (
            "postgresql+psycopg://me:secret@127.0.0.1:1/none",
            r"storage=postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/none",
        ),
        ("sqlite:////proc/none/x.db", "storage=sqlite:////proc/none/x.db: cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_named_without_its_password(
    study: Study, tmp_path: Path, url: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        TrialQueue(tmp_path, url, "small").open(study)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sampler_that_does_not_exist_is_named(queue: TrialQueue) -> None:
    study = Study("small", "?", space={"rate": Range(0.1, 0.2)}, trials=1, sampler={"_target_": "optuna.No"})
    with pytest.raises(UserError, match=r"study\.sampler="):
        queue.open(study)


def test_a_slot_counts_with_the_furthest_of_its_trials(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study))
    with queue.session() as dead:
        claim(opened, dead)
    recover(opened, queue, lost)
    opened.tell(claim(opened, "a"), state=TrialState.FAIL)
    claim(opened, "a")
    counts = count_slots(opened.get_trials())
    assert counts == {"complete": 0, "pruned": 0, "running": 1, "waiting": 2, "fail": 1}


def test_a_trial_claimed_by_nobody_who_lives_is_put_back(study: Study, queue: TrialQueue) -> None:
    opened = queue.open(study)
    fill(opened, slots(study))
    opened.ask()  # killed before it could say who it was
    with queue.session():
        assert recover(opened, queue, lost) == 0  # it may be this one
    assert recover(opened, queue, lost) == 1
