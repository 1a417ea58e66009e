from __future__ import annotations

from dataclasses import replace

import pytest

from pose_oad.report.material import Material
from pose_oad.report.statistics import Estimate
from pose_oad.report.tables import (
    breakdown_table,
    diagnostics_table,
    offline_matrix,
    offline_table,
    online_matrix,
    online_table,
)


def cells(table, strategy: str, rate: str) -> dict[str, str]:
    """The row of a strategy and rate as readers see it, by column name."""
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.shown()]
    return next(row for row in rows if (row["strategy"], row["rate"]) == (strategy, rate))


def test_a_row_of_the_table_of_everything(material: Material) -> None:
    found = cells(online_table(material), "error", "1 %")
    # Errors 52, 54, 56; random has 50, 51, 52, so that the differences are 2, 3, 4.
    assert found["mpjpe_px"] == "54.0 ± 5.0"
    assert found["mpjpe_last_third_px"] == "49.0 ± 5.0"
    assert found["pck_3px"] == "25.0 ± 0.0 %"
    assert [found[name] for name in ("training_events", "teacher_calls", "evaluation_teacher_calls", "selected")] == [
        "3", "300", "30", "3"
    ]  # fmt: skip
    assert [found["seconds_train"], found["wall_clock_s"]] == ["0.3", "20.3"]
    assert [found["difference_px"], found["pairs"]] == ["+3.0 ± 2.5", "3"]


def test_p_values_are_corrected_for_the_comparisons_of_the_table(material: Material) -> None:
    table = online_table(material)
    # Both rates have differences d, d + 1, d + 2 with d = 2 and 1: t = 3 sqrt(3) and 2 sqrt(3), p = 0.0351 and 0.0742.
    assert cells(table, "error", "1 %")["p_holm"] == "0.070"
    assert cells(table, "error", "10 %")["p_holm"] == "0.074"


def test_strategies_come_before_references_and_a_baseline_is_compared_with_nothing(material: Material) -> None:
    table = online_table(material)
    assert [row[0] for row in table.rows] == ["error", "error", "random", "random", "never adapted"]
    for strategy, rate in (("random", "10 %"), ("never adapted", "–")):
        found = cells(table, strategy, rate)
        assert [found[name] for name in ("difference_px", "pairs", "p_holm")] == ["–", "–", "–"]
    assert "n = 3 is small" in table.note


def test_a_baseline_that_is_not_there_is_said_to_be_missing(material: Material) -> None:
    table = online_table(replace(material, baseline="uniform"))
    assert "No run is labelled uniform" in table.note
    assert cells(table, "error", "1 %")["difference_px"] == "–"


def test_the_paper_s_matrix(material: Material) -> None:
    table = online_matrix(material)
    assert [column.title for column in table.columns] == ["strategy", "1 %", "10 %", "no rate"]
    assert table.shown() == [
        ["error", "54.0 ± 5.0", "48.0 ± 5.0", "–"],
        ["random", "51.0 ± 2.5", "46.0 ± 2.5", "–"],
        ["never adapted", "–", "–", "61.0 ± 2.5"],
    ]


def test_other_parameters_become_columns(material: Material) -> None:
    groups = tuple(replace(group, setting=(("window.seconds", "6.0"),)) for group in material.online)
    table = online_matrix(replace(material, online=groups))
    assert [column.title for column in table.columns][:2] == ["strategy", "seconds"]
    assert table.rows[0][:2] == ("error", "6.0")


def test_diagnostics_show_what_was_recorded_and_nothing_else(material: Material) -> None:
    assert diagnostics_table(material) is None
    first, *others = material.online
    runs = [
        replace(run, metrics={**run.metrics, "final/backward_transfer_px": -1.0 - number})
        for number, run in enumerate(first.runs)
    ]
    table = diagnostics_table(replace(material, online=(replace(first, runs=tuple(runs)), *others)))
    assert [column.name for column in table.columns] == ["strategy", "rate", "seeds", "backward_transfer_px"]
    assert [row[-1] for row in table.shown()] == ["−2.0 ± 2.5", "–", "–", "–", "–"]


def test_without_online_runs_there_are_no_such_tables(material: Material) -> None:
    empty = replace(material, online=())
    assert online_table(empty) is online_matrix(empty) is diagnostics_table(empty) is None


def test_another_error_brings_its_own_last_third(material: Material) -> None:
    table = online_table(replace(material, error="teacher_distance_px"))
    assert [column.name for column in table.columns][3:5] == ["teacher_distance_px", "teacher_distance_last_third_px"]
    third = online_table(replace(material, error="mpjpe_last_third_px"))
    assert [column.name for column in third.columns][3:5] == ["mpjpe_last_third_px", "pck_3px"]
    assert isinstance(third.rows[0][3], Estimate)
    assert third.rows[0][3].mean == pytest.approx(49.0)


def test_test_error_with_what_it_cost(material: Material) -> None:
    table = offline_table(material)
    # Two seeds: errors 33, 34 and 30, 31; t(1, 0.975) = 12.706, half-width 12.706 * 0.7071 / sqrt(2).
    # The differences are 3 and 3: a mean without a spread, and no p-value.
    shown = [dict(zip((column.name for column in table.columns), row, strict=True)) for row in table.shown()]
    assert [row["test_mpjpe_px"] for row in shown] == ["33.5 ± 6.4", "30.5 ± 6.4"]
    assert [row["difference_px"] for row in shown] == ["+3.0 ± 0.0", "–"]
    found = cells(table, "error", "10 %")
    assert [found[name] for name in ("seeds", "selected", "selection_s", "training_s", "pairs", "p_holm")] == [
        "2", "30", "1.5", "250", "2", "–"
    ]  # fmt: skip


def test_matrix_of_test_errors(material: Material) -> None:
    assert offline_matrix(material).shown() == [["error", "33.5 ± 6.4"], ["random", "30.5 ± 6.4"]]


def test_parts_of_the_test_set_are_rows(material: Material) -> None:
    table = breakdown_table(material)
    assert [column.title for column in table.columns] == ["part", "name", "error at 10 %", "random at 10 %"]
    assert [row[:2] for row in table.rows] == [("subject", "S9"), ("action", "Eating")]


def test_without_fine_tuning_there_are_no_such_tables(material: Material) -> None:
    empty = replace(material, offline=())
    assert offline_table(empty) is offline_matrix(empty) is breakdown_table(empty) is None
