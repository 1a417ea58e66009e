from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pose_oad.report.against import error_against_rate
from pose_oad.report.groups import Group
from pose_oad.report.ledgers import error_over_stream, shared_changes, window_errors
from pose_oad.report.material import Material
from pose_oad.report.pictures import NothingToDraw
from tests.pose_oad.report.fake_store import ledger_rows

Find = Callable[[str, float | None], Group]


def test_window_errors_are_means_over_seeds(material: Material, group: Find) -> None:
    errors = window_errors(material, group("random", 0.01))
    assert errors.index.tolist() == [49.5, 149.5, 249.5]
    # Seeds have 55, 56, 57 in the first window, and 5 px less in each that follows.
    assert errors.tolist() == [56.0, 51.0, 46.0]


def test_a_window_without_an_error_is_left_out(material: Material, group: Find) -> None:
    rows = ledger_rows(3, 50.0)
    rows[1]["mpjpe_px"] = None
    errors = window_errors(replace(material, ledger=lambda run: rows), group("random", 0.01))
    assert errors.index.tolist() == [49.5, 249.5]
    assert errors.tolist() == [55.0, 45.0]


def test_changes_of_clip_are_marked_only_where_all_runs_share_them(material: Material, group: Find) -> None:
    random = group("random", 0.01)
    assert shared_changes(material, [random]) == [150]
    orders = {run.run_id: ("Walking", "Eating") if n else ("Eating", "Walking") for n, run in enumerate(random.runs)}
    shuffled = replace(material, ledger=lambda run: ledger_rows(3, 50.0, orders[run.run_id]))
    assert shared_changes(shuffled, [random]) is None


def test_the_stream_is_drawn_at_the_lowest_rate_with_references(material: Material) -> None:
    picture = error_over_stream(material)
    assert picture.title == "Error over the stream at 1 %"
    labels = picture.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["error", "random", "never adapted"]
    assert "changes of clip" in picture.caption


def test_error_against_rate_needs_two_rates(material: Material) -> None:
    axes = error_against_rate(material).figure.axes[0]
    assert axes.get_xticks().tolist() == [0.01, 0.1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1 %", "10 %"]
    one = tuple(group for group in material.online if group.rate in (0.1, None))
    with pytest.raises(NothingToDraw, match=r"two rates .* 1"):
        error_against_rate(replace(material, online=one))


def test_without_ledgers_there_is_no_curve(material: Material) -> None:
    with pytest.raises(NothingToDraw, match="mpjpe_px"):
        error_over_stream(replace(material, ledger=lambda run: []))
