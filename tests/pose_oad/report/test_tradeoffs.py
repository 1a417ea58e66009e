from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pose_oad.report.against import error_against_cost, pareto_front, pareto_picture
from pose_oad.report.material import Material
from pose_oad.report.pictures import NothingToDraw


def test_front_by_hand() -> None:
    costs = np.array([10.0, 1.0, 5.0, 5.0, 20.0, 2.0])
    errors = np.array([30.0, 50.0, 40.0, 45.0, 30.0, 55.0])
    # By cost: 50 leads; 55 is worse; of the two at cost 5 only 40 improves; 30 at 10 leads; 30 at 20 only ties.
    assert pareto_front(costs, errors).tolist() == [1, 2, 0]


def test_of_equal_points_the_first_is_kept() -> None:
    assert pareto_front(np.array([1.0, 1.0]), np.array([2.0, 2.0])).tolist() == [0]
    assert pareto_front(np.zeros(0), np.zeros(0)).tolist() == []


def test_nothing_outside_of_the_front_is_unbeaten() -> None:
    costs, errors = np.random.default_rng(0).random((2, 50))
    front = set(pareto_front(costs, errors).tolist())
    for i in range(50):
        beaten = any(costs[j] <= costs[i] and errors[j] <= errors[i] for j in range(50) if j != i)
        assert (i in front) is not beaten


def test_the_front_is_drawn_through_the_trials_it_names(material: Material) -> None:
    picture = pareto_picture(material)
    [front] = [line for line in picture.figure.axes[0].lines if line.get_label() == "Pareto front"]
    # random asks 3 and 30 times for 51 and 46 px; error asks 300 times for more, and a reference takes no part.
    assert front.get_xydata().tolist() == [[3.0, 51.0], [30.0, 46.0]]
    assert front.get_drawstyle() == "steps-post"
    assert "random at 1 %, random at 10 %." in picture.caption


def test_a_reference_without_a_cost_is_a_line_with_its_value(material: Material) -> None:
    axes = error_against_cost(material, "teacher_calls").figure.axes[0]
    labels = axes.get_legend_handles_labels()[1]
    assert "never adapted: 61.0 px" in labels
    assert {"error", "random"} <= set(labels)
    assert axes.get_xscale() == "log"


def test_what_has_no_cost_is_not_drawn(material: Material) -> None:
    groups = tuple(group for group in material.online if group.is_reference)
    for draw in (partial(error_against_cost, cost="optimizer_steps"), pareto_picture):
        with pytest.raises(NothingToDraw, match="mpjpe_px"):
            draw(replace(material, online=groups))
