"""A whole report in a folder: tables, figures, page, and a list of it all."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib import rc_context

from pose_oad.report.against import (
    error_against_cost,
    error_against_rate,
    error_against_setting,
    pareto_picture,
    varied_settings,
)
from pose_oad.report.folder import MANIFEST, replaced_folder
from pose_oad.report.layout import Table, to_csv, to_latex, to_markdown
from pose_oad.report.ledgers import error_by_joint, error_over_stream, selection_strip
from pose_oad.report.material import Material
from pose_oad.report.page import to_json, write_page
from pose_oad.report.pictures import NothingToDraw, Picture, at_one_condition
from pose_oad.report.store import Selection
from pose_oad.report.style import HOUSE_STYLE
from pose_oad.report.tables import (
    breakdown_table,
    diagnostics_table,
    offline_matrix,
    offline_table,
    online_matrix,
    online_table,
)

_log = logging.getLogger(__name__)

#: The tables in the order of the page; the first that exists is the one the terminal shows.
TABLES: tuple[Callable[[Material], Table | None], ...] = (
    online_table,
    online_matrix,
    offline_table,
    offline_matrix,
    breakdown_table,
    diagnostics_table,
)

_FORMS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}

#: The figures in the order of the page, by what they show.
PICTURES: dict[str, Callable[[Material], Picture]] = {
    "error over stream": error_over_stream,
    "error against rate": error_against_rate,
    "pareto picture": pareto_picture,
    "error against calls": partial(error_against_cost, cost="teacher_calls"),
    "error against steps": partial(error_against_cost, cost="optimizer_steps"),
    "error against seconds": partial(error_against_cost, cost="seconds/train"),
    "error by joint": error_by_joint,
    "selection strip": selection_strip,
}


def build_report(
    folder: Path, title: str, selection: Selection, material: Material, config: dict[str, Any]
) -> list[Table]:
    """Write a report: ``index.html``, ``tables/``, ``figures/`` and ``report.json``, all of it or nothing.

    Args:
        folder: where to; an earlier report in it is replaced
        title: what the report is of
        selection: the runs
        material: their groups
        config: the command's configuration, for ``report.json``

    Raises:
        UserError: if the folder cannot be written.
    """
    with replaced_folder(folder) as partial_folder:
        tables = [table for make in TABLES if (table := make(material)) is not None]
        (partial_folder / "tables").mkdir()
        for table in tables:
            for suffix, form in _FORMS.items():
                (partial_folder / "tables" / f"{table.name}.{suffix}").write_text(form(table), encoding="utf-8")
        (partial_folder / "figures").mkdir()
        pictures, skipped = draw_all(material, partial_folder / "figures")
        write_page(partial_folder / "index.html", title, selection, material, tables, pictures, skipped)
        files = [str(path.relative_to(partial_folder)) for path in partial_folder.rglob("*") if path.is_file()]
        described = to_json(selection, material, config, files)
        (partial_folder / MANIFEST).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return tables


def draw_all(material: Material, folder: Path) -> tuple[list[Picture], list[str]]:
    """Draw every figure that has data into a folder, as ``<name>.png`` (150 dpi) and ``<name>.svg``.

    Where other parameters than the rate vary, the error is drawn against each of them, and all other figures show the
    one setting that most groups have.

    Returns:
        The figures; and for each one that was not drawn, what it is and why.
    """
    pictures: list[Picture] = []
    skipped: list[str] = []
    groups, where = at_one_condition(material.online)
    one = replace(material, online=tuple(groups))
    draws = [
        (f"error against {key}", partial(error_against_setting, material, key), "")
        for key in varied_settings(material.online)
    ]
    draws += [(name, partial(draw, one), where) for name, draw in PICTURES.items()]
    with rc_context(HOUSE_STYLE):
        for name, draw, shown_where in draws:
            try:
                picture = draw()
            except NothingToDraw as reason:
                skipped.append(f"{name}: {reason}")
                _log.info("no figure of %s", skipped[-1])
                continue
            picture.figure.savefig(folder / f"{picture.name}.png", dpi=150)
            picture.figure.savefig(folder / f"{picture.name}.svg", dpi=200, metadata={"Date": None})
            pictures.append(replace(picture, caption=picture.caption + shown_where))
    return pictures, skipped
