from __future__ import annotations

from dataclasses import replace

from pose_oad.report.material import Material
from pose_oad.report.offline import breakdown_table, offline_matrix, offline_table


def test_test_error_with_what_it_cost(material: Material) -> None:
    table = offline_table(material).without_empty()
    # Two seeds: errors 33, 34 and 30, 31; t(1, 0.975) = 12.706, half-width 12.706 * 0.7071 / sqrt(2).
    # The differences are 3 and 3: a mean without a spread, and no p-value.
    assert [column.name for column in table.columns] == [
        "strategy", "rate", "seeds", "test_mpjpe_px", "selected", "selection_s", "training_s", "difference_px", "pairs"
    ]  # fmt: skip
    assert table.shown() == [
        ["error", "10 %", "2", "33.5 ± 6.4", "30", "1.5", "250", "+3.0 ± 0.0", "2"],
        ["random", "10 %", "2", "30.5 ± 6.4", "30", "1.5", "250", "–", "–"],
    ]


def test_matrix_of_test_errors(material: Material) -> None:
    assert offline_matrix(material).shown() == [["error", "33.5 ± 6.4"], ["random", "30.5 ± 6.4"]]


def test_parts_of_the_test_set_are_rows(material: Material) -> None:
    table = breakdown_table(material)
    assert [column.title for column in table.columns] == ["part", "name", "error at 10 %", "random at 10 %"]
    assert [row[:2] for row in table.rows] == [("subject", "S9"), ("action", "Eating")]


def test_without_fine_tuning_there_are_no_such_tables(material: Material) -> None:
    empty = replace(material, offline=())
    assert offline_table(empty) is offline_matrix(empty) is breakdown_table(empty) is None
