"""A whole report in a folder: tables, figures, page, and a list of it all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pose_oad.report.figures import draw_all
from pose_oad.report.folder import MANIFEST, replaced_folder
from pose_oad.report.layout import Table, to_csv, to_latex, to_markdown
from pose_oad.report.material import Material
from pose_oad.report.offline import breakdown_table, offline_matrix, offline_table
from pose_oad.report.page import to_json, write_page
from pose_oad.report.store import Selection
from pose_oad.report.tables import diagnostics_table, online_matrix, online_table

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

    Returns:
        The tables.

    Raises:
        UserError: if the folder cannot be written.
    """
    with replaced_folder(folder) as partial:
        tables = [table for make in TABLES if (table := make(material)) is not None]
        (partial / "tables").mkdir()
        for table in tables:
            for suffix, form in _FORMS.items():
                (partial / "tables" / f"{table.name}.{suffix}").write_text(form(table), encoding="utf-8")
        (partial / "figures").mkdir()
        pictures, skipped = draw_all(material, partial / "figures")
        write_page(partial / "index.html", title, selection, material, tables, pictures, skipped)
        files = [str(path.relative_to(partial)) for path in partial.rglob("*") if path.is_file()]
        described = to_json(selection, material, config, files)
        (partial / MANIFEST).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return tables
