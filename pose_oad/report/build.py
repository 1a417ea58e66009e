"""A whole report in a folder: tables, figures, page, and a list of it all."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib import rc_context

from pose_oad.report import against, effects, ledgers, tables
from pose_oad.report.layout import Table, to_csv, to_latex, to_markdown
from pose_oad.report.material import Material
from pose_oad.report.page import to_json, write_page
from pose_oad.report.pictures import NothingToDraw, Picture, at_one_condition
from pose_oad.report.store import Selection
from pose_oad.report.style import HOUSE_STYLE
from pose_oad.tracking.errors import UserError

_log = logging.getLogger(__name__)

#: The tables in the order of the page; the first that exists is the one the terminal shows.
TABLES: tuple[Callable[[Material], Table | None], ...] = (
    tables.online_table, tables.online_matrix, tables.offline_table, tables.offline_matrix, tables.breakdown_table,
    tables.diagnostics_table,
)  # fmt: skip

_FORMS = {"md": to_markdown, "csv": to_csv, "tex": to_latex}

#: The figures in the order of the page, by what they show.
PICTURES: dict[str, Callable[[Material], Picture]] = {
    "effects by stream": effects.effects_by_stream,
    "error over stream": ledgers.error_over_stream,
    "error against rate": against.error_against_rate,
    "pareto picture": against.pareto_picture,
    "error against calls": partial(against.error_against_cost, cost="teacher_calls"),
    "error against steps": partial(against.error_against_cost, cost="optimizer_steps"),
    "error against seconds": partial(against.error_against_cost, cost="seconds/train"),
    "error by joint": ledgers.error_by_joint,
    "selection strip": ledgers.selection_strip,
}

#: Names the files of a report; written last. Only a folder that holds it, and nothing it does not name, is replaced.
MANIFEST = "report.json"


def build_report(
    folder: Path, title: str, selection: Selection, material: Material, config: dict[str, Any]
) -> list[Table]:
    """Write a report: ``index.html``, ``tables/``, ``figures/`` and ``report.json``, with the command's configuration.

    All of it is written, in place of an earlier report, or nothing.

    Raises:
        UserError: if the folder cannot be written.
    """
    with replaced_folder(folder) as partial_folder:
        made = [table for make in TABLES if (table := make(material)) is not None]
        (partial_folder / "tables").mkdir()
        for table in made:
            for suffix, form in _FORMS.items():
                (partial_folder / "tables" / f"{table.name}.{suffix}").write_text(form(table), encoding="utf-8")
        (partial_folder / "figures").mkdir()
        pictures, skipped = draw_all(material, partial_folder / "figures")
        write_page(partial_folder / "index.html", title, selection, material, made, pictures, skipped)
        files = [str(path.relative_to(partial_folder)) for path in partial_folder.rglob("*") if path.is_file()]
        described = to_json(selection, material, config, files)
        (partial_folder / MANIFEST).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return made


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
        (f"error against {key}", partial(against.error_against_setting, material, key), "")
        for key in against.varied_settings(material.online)
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


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside a wanted one, whose place it takes when the block ends without an error.

    Raises:
        UserError: if the folder cannot be written or holds files that no report has written.
    """
    _check_replaceable(folder)
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise UserError(f"folder={folder}: cannot be written ({error.strerror})") from error
    with beside as name:
        partial, former = Path(name) / "new", Path(name) / "former"
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.rename(former)
        try:
            partial.rename(folder)
        except OSError:
            if former.exists():
                former.rename(folder)
            raise


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    expected = "expected a new or empty folder, or one left by an earlier report"
    if not folder.is_dir():
        raise UserError(f"folder={folder}: is a file; {expected}")
    if not os.access(folder, os.W_OK) or not os.access(folder.absolute().parent, os.W_OK):
        raise UserError(f"folder={folder}: cannot be written; {expected}")
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    foreign = present - _named_by_manifest(folder / MANIFEST)
    if foreign:
        raise UserError(f"folder={folder}: holds {min(foreign)}, which no report wrote; {expected}")


def _named_by_manifest(path: Path) -> set[str]:
    try:
        return {MANIFEST, *json.loads(path.read_text())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
