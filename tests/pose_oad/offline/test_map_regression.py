from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import Timer

from pose_oad.offline.map_regression import PretrainModule, checkpoint_score, one_cycle
from pose_oad.tracking.errors import UserError

STUDENT = {"name": "tiny", "backbone": "mobilenetv4_conv_small_050", "head_channels": 16, "input_size": [64, 64]}


def test_a_checkpoint_is_chosen_by_loss_until_ap_means_something() -> None:
    assert checkpoint_score(2.0, 0.001, 0.01, 1000) < checkpoint_score(1.0, 0.0, 0.0, 1000)  # AP is noise
    assert checkpoint_score(1.0, 0.01, 0.049, 1000) < checkpoint_score(2.0, 0.02, 0.05, 1000)
    assert checkpoint_score(2.0, 0.3, 0.5, 1000) > checkpoint_score(1.0, 0.2, 0.4, 1000)
    # Of four people, one found is no proof: two standard errors ask for half of them.
    assert checkpoint_score(1.0, 0.1, 0.49, 4) == -1.0
    assert checkpoint_score(1.0, 0.1, 0.5, 4) == 0.1


def test_one_cycle_rises_and_falls_to_nothing() -> None:
    assert one_cycle(0) == pytest.approx(0.04)
    assert one_cycle(0.075) == pytest.approx(0.52)
    assert one_cycle(0.15) == pytest.approx(1.0)
    assert one_cycle(0.575) == pytest.approx(0.5)
    assert one_cycle(1.0) == pytest.approx(0.0, abs=1e-12)
    assert one_cycle(1.7) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("seconds", "steps", "progress"), [(30, 10, 0.5), (15, 60, 0.6), (0, 60, 0.6)])
def test_one_cycle_ends_with_the_time_or_the_epochs(
    monkeypatch: pytest.MonkeyPatch, seconds: int, steps: int, progress: float
) -> None:
    """Of a minute and a hundred steps, whichever is over sooner."""
    timer = Timer("00:00:01:00")
    module = PretrainModule(STUDENT)
    module._trainer = SimpleNamespace(estimated_stepping_batches=100, callbacks=[timer])  # type: ignore[assignment]
    configured = module.configure_optimizers()
    rate = configured["lr_scheduler"]["scheduler"].lr_lambdas[0]  # type: ignore[index, call-overload]
    monkeypatch.setattr(timer, "time_elapsed", lambda: float(seconds))
    assert rate(steps) == pytest.approx(one_cycle(progress))


def test_the_papers_schedule_divides_by_ten_at_its_milestones() -> None:
    module = PretrainModule(STUDENT, 1e-3, schedule="steps", milestones=(2, 4))
    configured = module.configure_optimizers()
    assert isinstance(configured, dict)
    optimiser, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert isinstance(optimiser, torch.optim.Adam)
    assert configured["lr_scheduler"]["interval"] == "epoch"
    rates = []
    for _ in range(5):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


def test_the_students_description_says_what_it_is_trained_with() -> None:
    module = PretrainModule(STUDENT, foreground=10)
    assert module.student.config.foreground == module.hparams["student"]["foreground"] == 10.0


def test_hyper_parameters_are_plain_values() -> None:
    module = PretrainModule(STUDENT, milestones=(1, 2))
    assert dict(module.hparams) == {
        "student": STUDENT | {"foreground": 0.0},
        "learning_rate": 1e-3,
        "schedule": "one_cycle",
        "milestones": [1, 2],
        "foreground": 0.0,
    }
    assert type(module.hparams["student"]) is dict


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"learning_rate": 0.0}, r"optimiser\.learning_rate=0\.0"),
        ({"schedule": "one_cyle"}, "optimiser.schedule=one_cyle: .*one_cycle or steps or constant"),
        ({"foreground": -1.0}, r"objective\.foreground=-1\.0"),
    ],
)
def test_impossible_values_are_refused(values: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        PretrainModule(STUDENT, **values)
