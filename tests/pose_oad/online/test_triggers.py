"""Each trigger on a hand-made stream, of which the right plan is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pose_oad.cli.command import CONF, build, compose_config
from pose_oad.online.triggers import (
    AmsSamplingRate,
    AmsTrainingRate,
    EveryN,
    JitnetStride,
    KeepUp,
    KolmogorovSmirnov,
    LossPlateau,
    Outcome,
    PageHinkley,
    ShadowTutorStride,
    SvdRank,
    TokenBucket,
    Trigger,
    WindowStats,
)
from pose_oad.online.triggers.stride import mean_oks
from pose_oad.tracking.errors import UserError
from tests.stages import BODY

PEOPLE = torch.cat([torch.rand(2, 12, 2, generator=torch.Generator().manual_seed(0)) * 100, torch.ones(2, 12, 1)], -1)
FAR = PEOPLE + torch.tensor([1000.0, 0, 0])


def stats(index: int, predictions: torch.Tensor | None = None, frames: int = 100) -> WindowStats:
    """A window of ten seconds."""
    return WindowStats(index, frames, frames, 10.0 * (index + 1), predictions)


def outcome(labelled: torch.Tensor = PEOPLE, predicted: torch.Tensor = PEOPLE, loss: float = math.nan) -> Outcome:
    return Outcome(2, labelled, predicted, 0 if math.isnan(loss) else 5, loss, BODY)


def budgets(trigger: Trigger, windows: int, first: int = 0) -> list[int]:
    return [trigger.plan(stats(first + index)).label_budget for index in range(windows)]


def poses(value: float, spread: float = 0.02, seed: int = 0) -> torch.Tensor:
    """Poses of 100 frames whose confidences scatter around 1 - value."""
    found = torch.rand(100, 12, 3, generator=torch.Generator().manual_seed(seed))
    found[..., 2] = 1 - value + spread * (found[:, :1, 2] - 0.5)
    return found


class Fixed(TokenBucket):
    """Wants what it is told."""

    share = 0.0

    def wanted(self, stats: WindowStats) -> float:
        return self.share


def test_what_is_not_spent_is_banked_and_a_full_bank_is_spent_or_lost() -> None:
    bank, losing = Fixed(0.1, burst=3.0), Fixed(0.1, burst=3.0, when_full="lose")
    assert budgets(bank, 7) == [0, 0, 30, 0, 0, 30, 0]
    assert budgets(losing, 7) == [0] * 7
    losing.share = math.inf
    assert budgets(losing, 2) == [30, 10]
    losing.share = 0.5
    assert budgets(losing, 2) == [5, 5]
    again = Fixed(0.1, burst=3.0)
    again.load_state_dict(losing.state_dict())
    assert again.saved == losing.saved == 10.0


def test_every_n() -> None:
    assert budgets(EveryN(windows=3, rate=0.1), 7) == [0, 0, 30, 0, 0, 30, 0]


def test_jitnet_doubles_and_halves_its_stride() -> None:
    trigger = JitnetStride(threshold=0.8, rate=0.1, burst=100.0)
    strides = []
    for predicted in (PEOPLE, PEOPLE, FAR, FAR, FAR, FAR):
        trigger.observe(outcome(predicted=predicted))
        strides.append(trigger.stride)
    assert strides == [2.0, 2.0, 1.0, 0.5, 0.25, 0.25]
    trigger.saved = 100.0
    assert budgets(trigger, 1) == [40]
    assert trigger.satisfied(PEOPLE, PEOPLE, BODY)
    assert not trigger.satisfied(PEOPLE, FAR, BODY)
    trigger.observe(outcome(labelled=PEOPLE * 0))  # nobody: says nothing
    assert trigger.stride == 0.25


def test_shadow_tutor_stretches_by_its_ratio() -> None:
    trigger = ShadowTutorStride(threshold=0.8)
    assert [trigger.factor(value) for value in (1.0, 0.9, 0.8, 0.4, 0.0)] == pytest.approx([2.0, 1.5, 1.0, 0.5, 0.0])


def test_ams_samples_less_while_labels_are_alike() -> None:
    trigger = AmsSamplingRate(rate=0.1, burst=100.0)
    still = PEOPLE[:1].expand(3, -1, -1)
    for _ in range(3):
        trigger.observe(outcome(labelled=still))
    assert trigger.share == pytest.approx(0.4, abs=0.001)
    assert budgets(trigger, 1) == [8]
    trigger.observe(outcome(labelled=torch.cat([PEOPLE[:1], FAR[:1]])))
    assert trigger.share == pytest.approx(0.6, abs=0.001)


def test_ams_learns_less_often_while_labels_are_alike() -> None:
    trigger = AmsTrainingRate(longer_s=10.0, most_windows=3, rate=0.1, burst=100.0)
    trigger.share = 0.1
    still = outcome(labelled=PEOPLE[:1].expand(3, -1, -1))
    learnt = []
    for index in range(9):
        learnt.append(trigger.plan(stats(index)).fired)
        if learnt[-1]:
            trigger.observe(still)
    assert learnt == [True, False, True, False, False, True, False, False, True]
    trigger.share = 0.9
    trigger.observe(still)
    assert trigger.pause_s == 0.0


def test_svd_skips_a_simple_motion_that_goes_on() -> None:
    time = torch.linspace(0, 6, 100)[:, None]
    line = torch.zeros(100, 12, 3)
    line[..., 0] = time * torch.arange(12)
    line[..., 1] = time.sin() * torch.arange(12)
    wild = poses(0.1) * 100
    trigger = SvdRank(small=5)
    assert [trigger.plan(stats(n, of)).fired for n, of in enumerate((line, line, wild, wild, line, line))] == [
        True, False, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("trigger", [PageHinkley(), KolmogorovSmirnov()])
def test_drift_fires_at_first_and_where_confidence_falls(trigger: TokenBucket) -> None:
    stream = [poses(0.2, seed=0), poses(0.2, seed=1), poses(0.2, seed=2), poses(0.4, seed=3), poses(0.4, seed=4)]
    assert [trigger.plan(stats(n, part)).fired for n, part in enumerate(stream)] == [True, False, False, True, False]
    again = type(trigger)()
    again.load_state_dict(trigger.state_dict())
    assert not again.plan(stats(5, poses(0.4, seed=5))).fired
    assert again.plan(stats(6, poses(0.7))).fired


def test_a_flat_loss_is_only_looked_at() -> None:
    trigger = LossPlateau(patience=2, look_every=3)
    fired = []
    for index, loss in enumerate([5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 9.0, 9.0, 9.0]):
        fired.append(trigger.plan(stats(index)).fired)
        if fired[-1]:
            trigger.observe(outcome(loss=loss))
    # flat from the fifth window on; looked at in the seventh; nothing new; in the tenth it has risen
    assert fired == [True, True, True, True, False, False, True, False, False, True]
    assert trigger.flat == 0


def test_keeping_up_halves_and_doubles_labels_and_steps() -> None:
    """Each window of 10 s takes 40 s at full effort; a second of it is to be left."""
    trigger, efforts = KeepUp(slack_s=1.0, steps=20, rate=0.1), []
    for index in range(6):
        plan = trigger.plan(stats(index))
        assert (plan.label_budget, plan.steps) == (round(trigger.effort * 10), round(trigger.effort * 20))
        trigger.observe(replace(outcome(), slack_s=10.0 - 40 * trigger.effort))
        efforts.append(trigger.effort)
    assert efforts == pytest.approx([0.5, 0.25, 0.225, 0.225, 0.225, 0.225])
    trigger.observe(replace(outcome(), slack_s=math.nan))
    assert trigger.effort == efforts[-1]


def test_similarity_leaves_out_whom_nobody_found() -> None:
    assert mean_oks(PEOPLE, torch.cat([PEOPLE[:1], PEOPLE[1:] * 0]), BODY) == pytest.approx(1.0)
    assert math.isnan(mean_oks(PEOPLE[:0], PEOPLE[:0], BODY))


@pytest.mark.parametrize("choice", sorted(path.stem for path in (CONF / "trigger").glob("*.yaml")))
def test_every_choice_is_built(choice: str) -> None:
    trigger = build(compose_config("online", [f"trigger={choice}", "rate=0.02"]).trigger)
    assert trigger.rate == 0.02
    assert isinstance(trigger.state_dict(), dict)


@pytest.mark.parametrize(
    ("choice", "key", "accepted"),
    [("jitnet", "smallest=3.0", "largest"), ("ks", "value=sped", "speed"), ("every_n", "windows=0", "1")],
)
def test_a_refused_value_is_named(choice: str, key: str, accepted: str) -> None:
    with pytest.raises(UserError, match=f"trigger.{key}.*{accepted}"):
        build(compose_config("online", [f"trigger={choice}", f"trigger.{key}"]).trigger)
