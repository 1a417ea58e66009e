"""What the loop publishes reaches the mailbox; what a user goes back to reaches the loop."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pose_oad.live.clock import ServiceClock
from pose_oad.live.feed import Link
from pose_oad.live.mailbox import Mailbox
from pose_oad.live.publisher import Publisher
from pose_oad.online.clocks import Work
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.loop import Loop
from pose_oad.online.weights import Weights
from pose_oad.students import PoseStudent
from tests.windows import make_loop, make_window, play, small_student


def published_by(loop: Loop, folder: Path) -> tuple[Publisher, Any, list[Any]]:
    ours, its = multiprocessing.Pipe()
    publisher, figures = Publisher(Mailbox(folder), Link(its)), list[Any]()
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(loader=SimpleNamespace(source=None)))
    publisher.on_train_start(trainer, OnlineDistillation(loop))
    loop.record = lambda record: figures.append(publisher.window_closed(record)) or publisher({"window": 0})  # type: ignore[func-returns-value]
    return publisher, ours, figures


def same(weights: Any, student: PoseStudent) -> bool:
    return all(torch.equal(value, student.state_dict()[name]) for name, value in weights.items())


def test_every_version_that_is_accepted_is_published(tmp_path: Path) -> None:
    loop = make_loop(epochs=1, learning_rate=1e-2)
    publisher, server, figures = published_by(loop, tmp_path)
    play(loop, make_window(4, index=0), make_window(4, index=1))
    newest = publisher.mailbox.read()
    assert newest is not None
    assert (newest.generation, newest.window) == (2, 1)
    assert same(newest.weights, loop.learner.student)
    assert [values["live/generation"] for values in figures] == [1, 2]
    kind, said = server.recv()
    assert (kind, said["gate"]) == ("window", "published")
    assert len(said["chosen"]) == 4


def test_what_the_gate_refuses_is_not(tmp_path: Path) -> None:
    class Refusing(Weights):
        def accepts(self, candidate: PoseStudent, judge: Any) -> bool:
            return False

    loop = make_loop(epochs=1)
    loop.weights = Refusing()
    loop.weights.started(loop.learner.student)
    publisher, server, _ = published_by(loop, tmp_path)
    play(loop, make_window(4))
    assert publisher.mailbox.read() is None
    assert server.recv()[1]["gate"] == "refused"


def test_the_loop_goes_on_from_what_a_user_goes_back_to(tmp_path: Path) -> None:
    loop = make_loop(epochs=1, learning_rate=1e-2)
    publisher, server, _ = published_by(loop, tmp_path)
    play(loop, make_window(4))
    earlier = small_student()
    publisher.mailbox.go_back(earlier)
    play(loop, make_window(4, index=1))  # was being learnt from bad weights
    assert [server.recv()[1]["gate"] for _ in range(2)] == ["published", "gone back"]
    assert same(earlier.state_dict(), loop.learner.student)
    assert same(earlier.state_dict(), loop.weights.student)
    generation = publisher.mailbox.generation()
    play(loop, make_window(4, index=2))
    assert publisher.mailbox.generation() == generation + 1
    assert not same(earlier.state_dict(), loop.learner.student)


def test_new_weights_serve_from_the_frame_on_that_is_filmed_when_they_are_ready() -> None:
    clock, work = ServiceClock(waiting_s=1.0), Work(0, 6, 60, 1, 10, {"label": 0.5, "train": 1.0})
    assert clock.charge(work).ready_s == pytest.approx(7.5)  # nobody says when frames arrive
    clock.rate, clock.clock = 10.0, lambda: 108.0
    assert clock.admits(0, 6)
    clock.newest = lambda: (79, 107.95)
    charge = clock.charge(work)
    assert charge.ready_s == pytest.approx(7.95)
    assert charge.started_s == pytest.approx(6.45)
    # The next window is full and waits: what is filmed meanwhile is dropped, but for the last second of it.
    clock.newest = lambda: (119, 100.0)
    assert clock.charge(work).ready_s == pytest.approx(12.9)
    clock.newest = lambda: (100, 108.0)
    assert clock.charge(work).ready_s == pytest.approx(12.9)  # it never decreases
