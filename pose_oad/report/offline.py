"""The tables of offline fine-tuning: error and cost, the error as strategy × rate, and by part of the test set."""

from __future__ import annotations

from pose_oad.report.layout import Cell, Column, Style, Table
from pose_oad.report.material import Material, error_title
from pose_oad.report.tables import (
    comparison_columns,
    comparison_note,
    error_matrix,
    interval_name,
    key_columns,
    metric_columns,
    rows_with_comparison,
)

_PARTS = ("subject", "action", "camera", "joint")
_COSTS: tuple[tuple[str, str, Style], ...] = (
    ("test_pck_3px", "PCK at 3 px", "share"),
    ("selected", "frames labelled", "count"),
    ("teacher_calls", "teacher calls", "count"),
    ("selection_s", "selection, s", "seconds"),
    ("training_s", "training, s", "seconds"),
    ("optimizer_steps", "optimiser steps", "count"),
)


def offline_table(material: Material) -> Table | None:
    """Make the table of fine-tuning runs: a row per strategy, setting and rate; None without such runs."""
    if not material.offline:
        return None
    error = f"test_{material.error}"
    metrics = [(error, f"test {error_title(error)}", "px"), *_COSTS]
    rows = rows_with_comparison(material, material.offline, metrics, error)
    note = (
        f"Error on subjects that were not trained on. Mean over seeds ± half-width of the {interval_name(material)}; "
        f"n is the number of seeds. {comparison_note(material, material.offline)}"
    )
    columns = (*key_columns(material.offline), *metric_columns(metrics), *comparison_columns(material))
    return Table("offline", "Fine-tuned offline", columns, rows, note)


def offline_matrix(material: Material) -> Table | None:
    """Make the table of the test error of every strategy at every rate; None without fine-tuning runs."""
    error = f"test_{material.error}"
    return error_matrix(
        material, material.offline, error, "offline_matrix", f"Test {error_title(error)}, by rate, fine-tuned offline"
    )


def breakdown_table(material: Material) -> Table | None:
    """Make the table of the test error by subject, action, camera and joint: a column per group of runs.

    Returns:
        None where no run has recorded its error by part.
    """
    prefix = f"final/test_{material.error}/"
    names = {
        name.removeprefix(prefix)
        for group in material.offline
        for run in group.runs
        for name in run.metrics
        if name.startswith(prefix)
    }
    parts = sorted(
        (name for name in names if name.partition("/")[0] in _PARTS),
        key=lambda name: (_PARTS.index(name.partition("/")[0]), name),
    )
    if not parts:
        return None
    columns = [Column("part", "part"), Column("name", "name")]
    columns += [Column(f"{group.full_name}", group.full_name, "px") for group in material.offline]
    rows: list[tuple[Cell, ...]] = []
    for part in parts:
        kind, _, name = part.partition("/")
        errors = (material.estimate(group, f"test_{material.error}/{part}") for group in material.offline)
        rows.append((kind, name.replace("_", " "), *errors))
    note = f"Mean over seeds ± half-width of the {interval_name(material)}, over the frames of each part."
    title = f"Test {error_title(material.error)}, by part of the test set"
    return Table("offline_parts", title, tuple(columns), tuple(rows), note)
