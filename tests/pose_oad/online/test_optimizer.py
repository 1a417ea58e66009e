from __future__ import annotations

import math

import pytest
import torch

from pose_oad.cli.command import build, compose_config
from pose_oad.online.optimizer import Optimization
from pose_oad.tracking.errors import UserError


def rates(steps: int, **options: object) -> list[float]:
    """Learning rates of a window's steps."""
    weight = torch.nn.Parameter(torch.ones(1))
    made = Optimization(learning_rate=1.0, **options)  # type: ignore[arg-type]
    optimizer = made.build([weight])
    found: list[float] = []
    for _ in range(2):  # the second begins anew
        made.opened(steps)
        for _ in range(steps):
            weight.grad = torch.ones(1)
            made.before_step(optimizer.param_groups)
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
    assert found[:steps] == found[steps:]
    return found[:steps]


def test_the_rate_of_each_step_of_a_window() -> None:
    assert rates(4) == [1.0] * 4
    assert rates(4, schedule="linear") == [1.0, 0.75, 0.5, 0.25]
    assert rates(4, schedule="cosine") == pytest.approx([(1 + math.cos(math.pi * at / 4)) / 2 for at in range(4)])
    assert rates(4, warmup_steps=3) == [0.25, 0.5, 0.75, 1.0]
    assert rates(2, schedule="linear", warmup_steps=1) == [0.5, 0.5]


def test_gradients_are_cut_to_a_norm_all_together() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))]
    made = Optimization(name="sgd", learning_rate=1.0, clip=1.0)
    optimizer = made.build(weights)
    made.opened(2)
    for gradients, expected in (((3.0, 4.0), (-0.6, -0.8)), ((0.3, 0.4), (-0.9, -1.2))):
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = torch.tensor([gradient])
        made.before_step(optimizer.param_groups)
        optimizer.step()
        assert [weight.item() for weight in weights] == pytest.approx(expected)


def test_adams_step_is_what_it_was() -> None:
    ends = []
    for ours in (True, False):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(50))
        made = Optimization()
        optimizer = made.build([weight]) if ours else torch.optim.Adam([weight], lr=1e-3, fused=True)
        made.opened(5)
        for _ in range(5):
            weight.grad = torch.randn(50)
            if ours:
                made.before_step(optimizer.param_groups)
            optimizer.step()
        ends.append(weight.detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize(
    ("choice", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_every_choice_is_built(choice: str, kind: type) -> None:
    cfg = compose_config("online", [f"optimizer={choice}", "training.learning_rate=0.02", "optimizer.weight_decay=0.1"])
    optimizer = build(cfg.optimizer).build([torch.nn.Parameter(torch.ones(1))])
    assert type(optimizer) is kind
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.02, 0.1)


@pytest.mark.parametrize(
    "value", ["clip=0", "schedule=step", "warmup_steps=-1", "weight_decay=-1", "momentum=1", "name=lion"]
)
def test_a_refused_value_is_named(value: str) -> None:
    with pytest.raises(UserError, match=rf"^optimizer\.{value.partition('=')[0]}=.*expected"):
        build(compose_config("online", ["optimizer=sgd", f"optimizer.{value}"]).optimizer)
