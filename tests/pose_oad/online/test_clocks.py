"""What a clock charges, and what that does to a stream."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from callbacks.strategies.references import Nothing
from pose_oad.cli.command import CONF, build, compose_config
from pose_oad.online.clocks import Charge, ChargingClock, Device, MeasuredClock, ProfileClock, Work
from pose_oad.online.loop import Loop
from pose_oad.tracking.errors import UserError
from tests.windows import Steps, make_loop, make_window, play

FREE = Device("free", "estimate", "none", 0.0, 0.0, 0.0)


def work(index: int, asked: int = 2, steps: int = 3) -> Work:
    """Ten seconds of a stream."""
    return Work(10.0 * index, 10.0 * (index + 1), 100, asked, steps, {"query": 1.0, "label": 2.0, "train": 4.0})


def taken(clock: ChargingClock, windows: int) -> list[Charge | None]:
    """Offer windows to a clock."""
    return [clock.charge(of) if clock.admits(of.opened_s, of.closed_s) else None for of in map(work, range(windows))]


def starts(clock: ChargingClock, windows: int) -> list[float | None]:
    return [None if charge is None else charge.started_s for charge in taken(clock, windows)]


def test_a_profile_charges_each_part() -> None:
    device = Device(
        "camera", "estimate", "none", 0.02, 0.5, 0.1, select_s=1.0, swap_s=0.5, frame_bytes=125_000,
        update_bytes=2_500_000, up_mbit_s=1.0, down_mbit_s=10.0, round_trip_s=0.25, watts=10.0,
    )  # fmt: skip
    charge = ProfileClock(device, batch_size=4).charge(work(0))
    assert charge.parts == pytest.approx(
        {"select": 1.0, "up": 2.25, "teacher": 1.0, "train": 1.2, "down": 2.0, "swap": 0.5}
    )
    assert (charge.started_s, charge.ready_s) == (10.0, pytest.approx(17.95))
    assert (charge.traffic, charge.joules) == ({"up": 250_000, "down": 2_500_000}, pytest.approx(22.0))
    shared = ProfileClock(device, 4, scale=2.0, placement="shared")
    parts = shared.charge(work(0, asked=0)).parts
    assert (parts["train"], parts["up"], parts["select"]) == (pytest.approx(4.8), 0.0, 2.0)
    assert shared.student_s == pytest.approx(0.08)
    assert math.isnan(ProfileClock(replace(device, watts=None), 4).charge(work(0)).joules)


def test_measured_times_are_drawn_the_same_again() -> None:
    device = replace(FREE, teacher_s=[1.0, 2.0, 3.0], train_frame_s=[0.1, 0.3])
    first, again, other = (ProfileClock(device, 4, seed=seed).charge(work(0)).parts for seed in (0, 0, 7))
    assert first == again != other
    assert first["teacher"] in {2.0, 3.0, 4.0, 5.0, 6.0}


def test_a_measured_clock_charges_this_machine_times_a_scale() -> None:
    charge = MeasuredClock(scale=2.0, placement="shared").charge(work(0))
    assert charge.parts == {"select": 2.0, "teacher": 4.0, "train": 16.0}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # 24 s a window of 10 s: the first is done at 34, when that of 30 waits; then at 58 and at 82
        ({"late": "newest"}, [10.0, None, 34.0, None, 58.0, None, None]),
        ({"late": "skip"}, [10.0, None, None, 40.0, None, None, 70.0]),
        ({"late": "queue", "queue": 1}, [10.0, 34.0, None, 58.0, None, 82.0, None]),
    ],
)
def test_what_comes_while_the_trainer_is_busy(options: dict[str, Any], expected: list[float | None]) -> None:
    clock = ProfileClock(replace(FREE, teacher_s=12.0), 4, **options)
    assert starts(clock, 7) == expected
    ready = [charge.ready_s for charge in taken(ProfileClock(replace(FREE, teacher_s=12.0), 4, **options), 7) if charge]
    assert ready == sorted(ready)


def loop_with(clock: ChargingClock | None = None, **options: Any) -> Loop:
    loop = make_loop(epochs=1, **options)
    if clock is not None:
        loop.clock = clock
    return loop


STREAM = [make_window(4, index=index) for index in range(3)]


def predictions(loop: Loop) -> list[torch.Tensor]:
    return [record.measured.predictions for record in play(loop, *STREAM)]


def alike(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, one, other))


def test_no_delay_is_the_instant_clock_and_endless_training_is_none() -> None:
    instant = predictions(loop_with())
    assert alike(instant, predictions(loop_with(ProfileClock(FREE, 32))))
    endless = loop_with(ProfileClock(replace(FREE, train_frame_s=math.inf), 32))
    frozen = predictions(loop_with(strategy=Nothing()))
    assert alike(frozen, predictions(endless))
    assert not alike(instant, frozen)
    assert endless.weights.state_dict()["pending"][-1]["ready_s"] == math.inf


def test_a_run_goes_on_within_a_pending_update() -> None:
    """A window of 4 s takes 6 s: its weights are ready in the middle of the second next; the state is a file's."""

    def slow() -> Loop:
        return loop_with(ProfileClock(replace(FREE, teacher_s=1.5), 32, late="queue", queue=3))

    whole, first, again = slow(), slow(), slow()
    expected = play(whole, *STREAM)
    play(first, STREAM[0])
    file = io.BytesIO()
    torch.save({name: stage.state_dict() for name, stage in first.stages().items()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert len(state["weights"]["pending"]) == 1
    for name, stage in again.stages().items():
        stage.load_state_dict(state[name])
    again.learner.student.load_state_dict(first.learner.student.state_dict())
    steps = Steps(again)
    records = [again.play(window, steps) for window in STREAM[1:]]
    assert [record.ready_s for record in records] == [record.ready_s for record in expected[1:]] == [16.0, 22.0]
    assert alike([r.measured.predictions for r in records], [r.measured.predictions for r in expected[1:]])


@pytest.mark.parametrize(("seconds", "steps"), [(1e-6, 1), (1e6, 4)])
def test_training_stops_when_the_time_is_over(seconds: float, steps: int) -> None:
    [record] = play(make_loop(unit="seconds", seconds=seconds, epochs=2, batch_size=2), STREAM[0])
    assert record.training.steps == steps


def test_a_dropped_window_is_neither_labelled_nor_trained_on() -> None:
    loop = loop_with(ProfileClock(replace(FREE, teacher_s=1.5), 32, late="skip"))
    records = play(loop, *STREAM)
    assert [record.charge is None for record in records] == [False, True, False]
    assert (len(records[1].choice.positions), records[1].training.steps, records[1].plan.fired) == (0, 0, False)
    assert loop.labels.calls == 8
    assert records[0].slack_s == pytest.approx(-2.0)
    assert math.isnan(records[1].slack_s)


@pytest.mark.parametrize("device", sorted(path.stem for path in (CONF / "device").glob("*.yaml")))
def test_every_device_is_built(device: str) -> None:
    cfg = compose_config("online", ["clock=profile", f"device@clock.device={device}"])
    clock = build(cfg.clock)
    assert clock.device.name == device
    assert clock.charge(work(0)).ready_s > 10.0


def test_a_refused_value_is_named() -> None:
    for key, value in (("late", "never"), ("device.teacher_s", -1), ("share", 1)):
        with pytest.raises(UserError, match=rf"clock\.{key}={value}"):
            build(compose_config("online", ["clock=profile", f"clock.{key}={value}"]).clock)
