"""The tables: everything in rows, the error as strategy × rate, by part of the test set, and what explains it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import pandas as pd

from pose_oad.report.groups import Group, compare_all, short_names
from pose_oad.report.layout import Cell, Column, Style, Table, show
from pose_oad.report.material import Material, error_title
from pose_oad.report.statistics import Comparison, Estimate, bootstrap, detectable, equivalence, holm

#: Columns of the table that the terminal shows.
MAIN_COLUMNS = ("strategy", "rate", "teacher_calls", "optimizer_steps", "difference_px", "p_holm", "p_equivalence")

# Names of final metrics with a title and a style.
_Metrics = Sequence[tuple[str, str, Style]]

_ONLINE: _Metrics = (
    ("pck_3px", "PCK at 3 px", "share"),
    ("training_events", "training events", "count"),
    ("optimizer_steps", "optimiser steps", "count"),
    ("teacher_calls", "teacher calls", "count"),
    ("evaluation_teacher_calls", "to measure only", "count"),
    ("selected", "frames labelled", "count"),
    ("seconds/train", "training, s", "seconds"),
    ("wall_clock_s", "wall clock, s", "seconds"),
)
_OFFLINE: _Metrics = (
    ("test_pck_3px", "PCK at 3 px", "share"),
    ("selected", "frames labelled", "count"),
    ("teacher_calls", "teacher calls", "count"),
    ("selection_s", "selection, s", "seconds"),
    ("training_s", "training, s", "seconds"),
    ("optimizer_steps", "optimiser steps", "count"),
)
_DIAGNOSTICS: _Metrics = (
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
_PARTS = ("subject", "action", "camera", "joint")


def _percent(found: Comparison, material: Material) -> Cell:
    return Estimate(100 * found.share.mean, 100 * found.share.half_width, found.share.n)


def _drawn_again(found: Comparison, material: Material) -> Cell:
    return " to ".join(show(end, "signed") for end in bootstrap(found.by_unit, material.confidence))


# What a comparison over streams has beside its difference.
_EVIDENCE: dict[Column, Callable[[Comparison, Material], Cell]] = {
    Column("difference_percent", "Δ, %", "signed"): _percent,
    Column("bootstrap_px", "Δ by bootstrap, px"): _drawn_again,
    Column("p_equivalence", "p (equivalent)", "p"): lambda found, material: (
        None if material.bound is None else equivalence(found.by_unit, material.bound)
    ),
    Column("detectable_px", "detectable, px", "number"): lambda found, material: detectable(
        found.by_unit, material.confidence
    ),
}


def online_table(material: Material) -> Table | None:
    """Make the table of everything: a row per label, setting and rate; None without online runs."""
    third = re.sub(r"(_second_half|_last_third)?_px$", "_last_third_px", material.error)
    metrics: _Metrics = [
        (material.error, error_title(material.error), "px"),
        *([(third, "last third, px", "px")] if third != material.error else []),  # type: ignore[list-item]
        *_ONLINE,
    ]
    lowest = material.lowest(material.online, material.error)
    return _summary(material, material.online, metrics, "online", "Online runs", ("", f" {lowest}" if lowest else ""))


def offline_table(material: Material) -> Table | None:
    """Make the table of fine-tuning runs: a row per strategy, setting and rate; None without such runs."""
    error = f"test_{material.error}"
    metrics: _Metrics = [(error, f"test {error_title(error)}", "px"), *_OFFLINE]
    said = ("Error on subjects that were not trained on. ", "")
    return _summary(material, material.offline, metrics, "offline", "Fine-tuned offline", said)


def _summary(
    material: Material, groups: Sequence[Group], metrics: _Metrics, name: str, title: str, said: tuple[str, str]
) -> Table | None:
    """Make a table of a row per group: keys, metrics, and the comparison of the first metric with the baseline."""
    if not groups:
        return None
    comparisons = compare_all(groups, metrics[0][0], material.baseline, material.confidence)
    adjusted = holm([float("nan") if found is None else found.p for found in comparisons])
    further = _EVIDENCE if material.unit == "streams" else {}
    rows = tuple(
        (
            *row,
            *((None, None, None) if found is None else (found.difference, str(found.difference.n), p)),
            *(None if found is None or found.difference.n < 2 else of(found, material) for of in further.values()),
        )
        for row, found, p in zip(_rows(material, groups, metrics), comparisons, adjusted, strict=True)
    )
    columns = (
        *_columns(groups, metrics),
        Column("difference_px", f"Δ {material.baseline}, px", "signed"),
        Column("pairs", "pairs"),
        Column("p_holm", "p (Holm)", "p"),
        *further,
    )
    note = f"{_over_units(material)}; n is the number of {material.unit}. {_comparison_note(material, groups)}"
    return Table(name, title, columns, rows, f"{said[0]}{note}{said[1]}")


def diagnostics_table(material: Material) -> Table | None:
    """Make the table of what explains an error; columns that no run has are left out, None if all are."""
    named = [(name.format(error=material.window_error), title, style) for name, title, style in _DIAGNOSTICS]
    known = [entry for entry in named if any(material.estimate(group, entry[0]).n for group in material.online)]
    if not known:
        return None
    note = (
        "Gain: error of the never-adapted student less that of the adapting one on the same frames; before → after a "
        "change: mean over the last and first two seconds of clips. COCO before → after: the student as it came from "
        "pre-training and as it is at the end, on images like those of its pre-training. Backward transfer: what the "
        "final student gains on the stream over the student that first met each frame; negative where it has forgotten "
        "more than it learnt. Correlation: of a strategy's scores with the true errors, by rank. Redundancy: share of "
        "chosen frames with another chosen frame close by."
    )
    columns, rows = _columns(material.online, known), _rows(material, material.online, known)
    return Table("diagnostics", "What explains it", columns, rows, note)


def online_matrix(material: Material) -> Table | None:
    """Make the paper's table, the error of every strategy at every rate; None without online runs."""
    title = f"{error_title(material.error)}, by rate, online"
    return _matrix(material, material.online, material.error, "online_matrix", title)


def offline_matrix(material: Material) -> Table | None:
    """Make the table of the test error of every strategy at every rate; None without fine-tuning runs."""
    error = f"test_{material.error}"
    title = f"Test {error_title(error)}, by rate, fine-tuned offline"
    return _matrix(material, material.offline, error, "offline_matrix", title)


def _matrix(material: Material, groups: Sequence[Group], metric: str, name: str, title: str) -> Table | None:
    if not groups:
        return None
    # Infinity, which sorts last, stands for no rate.
    keys = [(group.label, *(value for _, value in group.setting)) for group in groups]
    cells = pd.DataFrame({
        "key": [list(dict.fromkeys(keys)).index(key) for key in keys],
        "rate": [math.inf if group.rate is None else group.rate for group in groups],
        "cell": pd.Series([material.estimate(group, metric) for group in groups], dtype=object),
    })  # fmt: skip
    shown = cells.drop_duplicates(["key", "rate"], keep="last").pivot(index="key", columns="rate", values="cell")
    shown = shown.astype(object).where(shown.notna(), None)
    columns = (
        *(column for column in _columns(groups, ()) if column.name not in ("rate", "seeds", "streams")),
        *(
            Column("error_px_without_rate", "no rate", "px")
            if rate == math.inf
            else Column(f"error_px_at_{rate:g}", f"{100 * rate:.4g} %", "px")
            for rate in shown.columns
        ),
    )
    rows = tuple((*key, *row) for key, row in zip(dict.fromkeys(keys), shown.to_numpy().tolist(), strict=True))
    note = f"{_over_units(material)}. {material.lowest(groups, metric)}"
    return Table(name, title, columns, rows, note.strip())


def breakdown_table(material: Material) -> Table | None:
    """Make the table of the test error by part of the test set, a column per group; None where none recorded it."""
    split = [name.partition("/") for name in material.metrics_below(material.offline, f"test_{material.error}/")]
    parts = sorted((_PARTS.index(kind), kind, name) for kind, _, name in split if kind in _PARTS)
    if not parts:
        return None
    columns = [Column("part", "part"), Column("name", "name")]
    columns += [Column(group.full_name, group.full_name, "px") for group in material.offline]
    rows: list[tuple[Cell, ...]] = []
    for _, kind, name in parts:
        errors = (material.estimate(group, f"test_{material.error}/{kind}/{name}") for group in material.offline)
        rows.append((kind, name.replace("_", " "), *errors))
    title = f"Test {error_title(material.error)}, by part of the test set"
    note = f"{_over_units(material)}, over the frames of each part."
    return Table("offline_parts", title, tuple(columns), tuple(rows), note)


def key_names(groups: Sequence[Group]) -> list[str]:
    """Return the names of the columns that name a group: strategy, each varying parameter, rate, number of units."""
    return [column.name for column in _columns(groups, ())]


def _columns(groups: Sequence[Group], metrics: _Metrics) -> tuple[Column, ...]:
    names = short_names([key for key, _ in groups[0].setting])
    return (
        Column("strategy", "strategy"),
        *(Column(name.replace(".", "_"), name.replace("_", " ")) for name in names.values()),
        Column("rate", "rate", "rate"),
        Column("streams" if any(run.stream for group in groups for run in group.runs) else "seeds", "n"),
        *(Column(metric.replace("/", "_"), title, style) for metric, title, style in metrics),
    )


def _rows(material: Material, groups: Sequence[Group], metrics: _Metrics) -> tuple[tuple[Cell, ...], ...]:
    return tuple(
        (
            group.label,
            *(value for _, value in group.setting),
            group.rate,
            str(group.units),
            *(material.estimate(group, metric) for metric, _, _ in metrics),
        )
        for group in groups
    )


def _over_units(material: Material) -> str:
    return f"Mean over {material.unit} ± half-width of the {100 * material.confidence:g} % t interval"


def _comparison_note(material: Material, groups: Sequence[Group]) -> str:
    """Say how groups were compared and how little a few seeds can show, or why they were not compared."""
    labels = sorted({group.label for group in groups})
    if material.baseline not in labels:
        return f"No run is labelled {material.baseline}, so nothing is compared; there are {', '.join(labels)}."
    most = max(group.units for group in groups)
    if most < 2:
        return f"With one of the {material.unit} there is neither an interval nor a test."
    caution = (
        f" n = {most} is small: an interval this wide or a p-value this large rules little out." if most < 10 else ""
    )
    nested = ""
    if material.unit == "streams":
        nested = " Seeds are averaged within a stream. Detectable: the difference that 80 % of such tests would find."
    if nested and material.bound is not None:
        nested += (
            f" Equivalent: two one-sided t-tests that the difference lies within ±{material.bound:g} px, as stated "
            "beforehand, each by itself."
        )
    return (
        f"Δ: mean difference over pairs of the same {material.unit.removesuffix('s')}, rate, settings and checkpoint, "
        f"minus {material.baseline}; negative is better. p: paired t-test, two-sided, by Holm's method for all "
        f"comparisons of this table.{nested}{caution}"
    )
