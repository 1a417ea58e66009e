"""The tables of online runs: everything in rows, the error as strategy × rate, and what explains it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pose_oad.report.groups import Group, compare_all, short_names
from pose_oad.report.layout import Cell, Column, Style, Table
from pose_oad.report.material import Material, error_title
from pose_oad.report.statistics import holm

#: Columns of the table that the terminal shows.
MAIN_COLUMNS = ("strategy", "rate", "seeds", "teacher_calls", "optimizer_steps", "difference_px", "p_holm")

_COSTS: tuple[tuple[str, str, Style], ...] = (
    ("training_events", "training events", "count"),
    ("optimizer_steps", "optimiser steps", "count"),
    ("teacher_calls", "teacher calls", "count"),
    ("evaluation_teacher_calls", "to measure only", "count"),
    ("selected", "frames labelled", "count"),
    ("seconds/train", "training, s", "seconds"),
    ("wall_clock_s", "wall clock, s", "seconds"),
)
_DIAGNOSTICS: tuple[tuple[str, str, Style], ...] = (
    # "{error}" stands for the error that counts, of the whole stream.
    ("frozen_{error}", "never adapted on the same frames, px", "px"),
    ("gain_px", "gain over it, px", "signed"),
    ("gain_before_change_px", "gain before a change of clip, px", "signed"),
    ("gain_after_change_px", "→ after, px", "signed"),
    ("retention_ap_before", "COCO AP before", "share"),
    ("retention_ap_after", "→ after", "share"),
    ("retention_mpjpe_px_before", "COCO error before, px", "px"),
    ("retention_mpjpe_px_after", "→ after, px", "px"),
    ("backward_{error}", "final student on the stream, px", "px"),
    ("backward_transfer_px", "backward transfer, px", "signed"),
    ("score_error_correlation", "score–error correlation", "number"),
    ("redundancy", "redundancy", "number"),
)


def online_table(material: Material) -> Table | None:
    """Make the table of everything: a row per label, setting and rate; None without online runs."""
    if not material.online:
        return None
    third = re.sub(r"(_second_half|_last_third)?_px$", "_last_third_px", material.error)
    title = error_title(material.error)
    metrics: list[tuple[str, str, Style]] = [(material.error, title, "px")]
    metrics += [(third, "last third, px", "px")] if third != material.error else []
    metrics += [("pck_3px", "PCK at 3 px", "share"), *_COSTS]
    rows = rows_with_comparison(material, material.online, metrics, material.error)
    note = (
        f"Mean over seeds ± half-width of the {interval_name(material)}; n is the number of seeds. "
        f"{comparison_note(material, material.online)} {material.lowest(material.online, material.error)}"
    )
    columns = (*key_columns(material.online), *metric_columns(metrics), *comparison_columns(material))
    return Table("online", "Online runs", columns, rows, note.strip())


def online_matrix(material: Material) -> Table | None:
    """Make the paper's table, the error of every strategy at every rate; None without online runs."""
    return error_matrix(
        material, material.online, material.error, "online_matrix", f"{error_title(material.error)}, by rate, online"
    )


def diagnostics_table(material: Material) -> Table | None:
    """Make the table of what explains an error; columns that no run has are left out, None if all are."""
    named = [(name.format(error=material.window_error), title, style) for name, title, style in _DIAGNOSTICS]
    known = [entry for entry in named if any(material.estimate(group, entry[0]).n for group in material.online)]
    if not known:
        return None
    rows = tuple(
        (*key_cells(group), *(material.estimate(group, metric) for metric, _, _ in known)) for group in material.online
    )
    note = (
        "Gain: error of the never-adapted student less that of the adapting one on the same frames; before → after a "
        "change: mean over the last and first two seconds of clips. COCO before → after: the student as it came from "
        "pre-training and as it is at the end, on images like those of its pre-training. Backward transfer: what the "
        "final student gains on the stream over the student that first met each frame; negative where it has forgotten "
        "more than it learnt. Correlation: of a strategy's scores with the true errors, by rank. Redundancy: share of "
        "chosen frames with another chosen frame close by."
    )
    return Table("diagnostics", "What explains it", (*key_columns(material.online), *metric_columns(known)), rows, note)


def error_matrix(material: Material, groups: Sequence[Group], metric: str, name: str, title: str) -> Table | None:
    """Make a table with a row per strategy and setting and a column per rate.

    Args:
        material: how to estimate
        groups: online or offline groups
        metric: final metric
        name: of the table's files
        title: of the table
    """
    if not groups:
        return None
    rates = sorted({group.rate for group in groups if group.rate is not None})
    without_rate = any(group.rate is None for group in groups)
    cells: dict[tuple[Cell, ...], dict[float | None, Cell]] = {}
    for group in groups:
        row = cells.setdefault((group.label, *(value for _, value in group.setting)), {})
        row[group.rate] = material.estimate(group, metric)
    keys = [column for column in key_columns(groups) if column.name not in ("rate", "seeds")]
    columns = (
        *keys,
        *(Column(f"error_px_at_{rate:g}", f"{100 * rate:.4g} %", "px") for rate in rates),
        *([Column("error_px_without_rate", "no rate", "px")] if without_rate else []),
    )
    shown_rates = [*rates, *([None] if without_rate else [])]
    rows = tuple((*key, *(row.get(rate) for rate in shown_rates)) for key, row in cells.items())
    note = f"Mean over seeds ± half-width of the {interval_name(material)}. {material.lowest(groups, metric)}"
    return Table(name, title, columns, rows, note.strip())


def key_columns(groups: Sequence[Group]) -> list[Column]:
    """Return the columns that name a group: strategy, each varying parameter, rate, and number of seeds."""
    names = short_names([key for key, _ in groups[0].setting])
    settings = [Column(name.replace(".", "_"), name.replace("_", " ")) for name in names.values()]
    return [Column("strategy", "strategy"), *settings, Column("rate", "rate", "rate"), Column("seeds", "n")]


def key_cells(group: Group) -> list[Cell]:
    """Return a group's cells of :func:`key_columns`."""
    return [group.label, *(value for _, value in group.setting), group.rate, str(len(group.runs))]


def metric_columns(metrics: Sequence[tuple[str, str, Style]]) -> list[Column]:
    """Return a column per metric, named as the store names it."""
    return [Column(metric.replace("/", "_"), title, style) for metric, title, style in metrics]


def comparison_columns(material: Material) -> list[Column]:
    """Return the columns of a comparison with the baseline."""
    return [
        Column("difference_px", f"Δ {material.baseline}, px", "signed"),
        Column("pairs", "pairs"),
        Column("p_holm", "p (Holm)", "p"),
    ]


def rows_with_comparison(
    material: Material, groups: Sequence[Group], metrics: Sequence[tuple[str, str, Style]], error: str
) -> tuple[tuple[Cell, ...], ...]:
    """Return a row per group: its keys, its metrics, and its comparison with the baseline.

    Args:
        material: how to estimate and against what to compare
        groups: the groups of the table
        metrics: name, title and style of each metric
        error: the metric that is compared
    """
    comparisons = compare_all(groups, error, material.baseline, material.confidence)
    adjusted = holm([float("nan") if found is None else found.p for found in comparisons])
    return tuple(
        (
            *key_cells(group),
            *(material.estimate(group, metric) for metric, _, _ in metrics),
            *((None, None, None) if found is None else (found.difference, str(found.difference.n), p)),
        )
        for group, found, p in zip(groups, comparisons, adjusted, strict=True)
    )


def interval_name(material: Material) -> str:
    """Name the interval, as ``95 % t interval``."""
    return f"{100 * material.confidence:g} % t interval"


def comparison_note(material: Material, groups: Sequence[Group]) -> str:
    """Say how groups were compared and how little a few seeds can show, or why they were not compared."""
    labels = sorted({group.label for group in groups})
    if material.baseline not in labels:
        return f"No run is labelled {material.baseline}, so nothing is compared; there are {', '.join(labels)}."
    most = max(len(group.runs) for group in groups)
    if most < 2:
        return "With one seed there is neither an interval nor a test."
    caution = (
        f" n = {most} is small: an interval this wide or a p-value this large rules little out." if most < 10 else ""
    )
    return (
        f"Δ: mean difference over pairs of the same seed, rate, settings and checkpoint, minus {material.baseline}; "
        f"negative is better. p: paired t-test, two-sided, by Holm's method for all comparisons of this table.{caution}"
    )
