from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from pose_oad.report.groups import Group
from pose_oad.report.pictures import MOST_LINES, at_one_rate, focus, left_out_note, series_of


def group(label: str, rate: float | None, reference: bool = False) -> Group:
    return Group(label, reference, rate, (), ())


def test_series_join_the_rates_of_a_label() -> None:
    found = series_of([group("a", 0.2), group("ref", None, True), group("a", 0.1), group("b", 0.1)])
    assert [(s.name, [g.rate for g in s.groups]) for s in found] == [("a", [0.1, 0.2]), ("b", [0.1]), ("ref", [None])]


def test_too_many_strategies_are_cut_and_that_is_said() -> None:
    many = [group(f"s{n}", 0.1) for n in range(MOST_LINES + 2)]
    assert len(series_of(many)) == MOST_LINES
    assert left_out_note(many) == " 8 of 10 strategies are shown."
    assert left_out_note(many[:3]) == ""


def test_the_rate_that_most_strategies_have_is_shown() -> None:
    groups = [
        group("a", 0.01),
        group("a", 0.1),
        group("b", 0.1),
        group("none", None, True),
        group("oracle", 0.01, True),
    ]
    chosen, text = at_one_rate(groups)
    assert [(g.label, g.rate) for g in chosen] == [("a", 0.1), ("b", 0.1), ("none", None)]
    assert text == " at 10 %"
    assert at_one_rate(groups[3:4]) == (groups[3:4], "")


@pytest.mark.parametrize(("reference", "inside"), [(60.0, True), (74.0, True), (76.0, False), (20.0, False)])
def test_a_reference_far_off_does_not_flatten_the_strategies(reference: float, inside: bool) -> None:
    axes = Figure().add_subplot()
    # Strategies span 10 px; one and a half times that on either side is in reach.
    note = focus(axes, [50.0, 60.0], [reference])
    low, high = axes.get_ylim()
    assert bool(low <= reference <= high) is inside
    assert low < 50.0 < 60.0 < high
    assert ("outside" in note) is not inside
