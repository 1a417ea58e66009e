from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.online_loop import Outcome, bench_online_loop, require_same_work
from pose_oad.tracking.errors import UserError


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_both_loops_do_the_same_work(configure, batch_norm: str) -> None:
    figures = {figure.name: figure for figure in bench_online_loop(configure(f"training.batch_norm={batch_norm}"))}
    ratio = figures["online_loop.ratio"]
    assert ratio.limit == 1.10
    assert "108 frames, 5 windows" in ratio.how
    assert ratio.value == pytest.approx(figures["online_loop.online"].value / figures["online_loop.plain"].value)
    assert all(figure.value > 0 for figure in figures.values())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "strategy=uniform",
            "strategy._target_=callbacks.strategies.sampling.Uniform: expected .*Random in the section",
        ),
        ("teacher.noise=0.1", "teacher.noise=0.1: expected 0.0 in the section online_loop"),
        ("training.unit=steps", "training.unit=steps: expected epochs"),
    ],
)
def test_what_the_plain_loop_does_not_know_is_refused(configure, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        bench_online_loop(configure(override))


@pytest.fixture
def outcome() -> Outcome:
    return Outcome({"weight": torch.ones(2)}, selected=[[1, 3]], errors=[10.0])


def test_the_same_work_is_the_same_up_to_rounding(outcome: Outcome) -> None:
    require_same_work(outcome, replace(outcome, weights={"weight": torch.ones(2) + 1e-5}, errors=[10.001]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"selected": [[1, 2]]}, "chose other frames"),
        ({"errors": [11.0]}, r"measured \[11.0\] px a window, the online loop \[10.0\] px"),
        ({"errors": [10.0, 10.0]}, "measured"),
        ({"weights": {"weight": torch.tensor([1.0, 1.5])}}, "other weights: weight differs by up to 0.5"),
    ],
)
def test_other_work_is_found_out(outcome: Outcome, change: dict, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        require_same_work(outcome, replace(outcome, **change))
