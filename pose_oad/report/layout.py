"""A table's columns and cells, and its forms: terminal, Markdown, CSV, LaTeX."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd
import rich.box
import rich.table
import rich.text

from pose_oad.report.statistics import Estimate

Cell = str | float | Estimate | None

#: How a column's cells are shown: as they are; a share as percent; a mean with its interval, in px, or of a share in
#: percent, or with its sign; a mean alone, as a count, in seconds, or as a plain number; a p-value.
Style = Literal["text", "rate", "px", "share", "signed", "count", "seconds", "number", "p"]

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table: its name in CSV files, with the unit; its title; how its cells are shown."""

    name: str
    title: str
    style: Style = "text"


@dataclass(frozen=True)
class Table:
    """A table; its note says how it was computed and what to keep in mind."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str

    def select(self, *names: str) -> Table:
        """Return the table with only the columns of these names, in its own order."""
        kept = [i for i, column in enumerate(self.columns) if column.name in names]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in kept), rows=rows)

    def shown(self) -> list[list[str]]:
        """Return every cell as a reader sees it."""
        return [[show(cell, column.style) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]


def show(cell: Cell, style: Style) -> str:
    """Phrase a cell of a column of some style; a dash for what is absent."""
    if cell is None or cell == "":
        return MISSING
    if isinstance(cell, str):
        return cell
    mean, half_width = (cell.mean, cell.half_width) if isinstance(cell, Estimate) else (cell, math.nan)
    if not math.isfinite(mean):
        return MISSING
    if style in ("px", "share", "signed"):
        scale, sign, unit = {"px": (1, "", ""), "share": (100, "", " %"), "signed": (1, "+", "")}[style]
        interval = f" ± {scale * half_width:.1f}" if math.isfinite(half_width) else ""
        return f"{scale * mean:{sign}.1f}".replace("-", "−") + interval + unit
    if style == "p":
        return "< 0.001" if mean < 0.001 else f"{mean:.3f}"
    if style == "seconds" and mean < 100:
        return f"{mean:.3g}"
    return {"rate": f"{100 * mean:.4g} %", "number": f"{mean:.2f}"}.get(style, f"{mean:,.0f}")


def to_markdown(table: Table) -> str:
    """Write a table as GitHub's Markdown, its note below it."""
    titles = [column.title for column in table.columns]
    rule = "|" + "|".join(" :--- " if column.style == "text" else " ---: " for column in table.columns) + "|"
    lines = ["| " + " | ".join(map(_escape_markdown, cells)) + " |" for cells in (titles, *table.shown())]
    lines.insert(1, rule)
    return "\n".join([f"**{_escape_markdown(table.title)}**", "", *lines, "", _escape_markdown(table.note), ""])


def _escape_markdown(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return re.sub(r"([\\|*_`\[\]])", r"\\\1", text)


def to_csv(table: Table) -> str:
    """Write a table's raw numbers: a column each for mean, half-width of the interval, and number of values."""
    raw = {}
    for number, column in enumerate(table.columns):
        cells = [row[number] for row in table.rows]
        if column.style in ("text", "rate", "p"):
            raw[column.name] = cells
        else:
            estimates = [cell if isinstance(cell, Estimate) else None for cell in cells]
            raw[column.name] = [found and found.mean for found in estimates]
            raw[f"{column.name}_half_width"] = [found and found.half_width for found in estimates]
            raw[f"{column.name}_n"] = [found and str(found.n) for found in estimates]
    return pd.DataFrame(raw).to_csv(index=False, lineterminator="\n")


def to_latex(table: Table) -> str:
    """Write a table in LaTeX for the package booktabs, its note as a comment."""
    styler = pd.DataFrame(table.shown()).style.hide(axis="index").format(escape_latex)
    written = styler.relabel_index([escape_latex(column.title) for column in table.columns], axis="columns").to_latex(
        column_format="".join("l" if column.style == "text" else "r" for column in table.columns),
        position_float="centering",
        hrules=True,
        label=f"tab:{table.name}",
        caption=escape_latex(table.title),
    )
    return f"% {' '.join(table.note.split())}\n{written}"


_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "–": "--", "−": "$-$", "±": r"$\pm$", "→": r"$\to$", "×": r"$\times$", "Δ": r"$\Delta$", "\n": " ",
})  # fmt: skip


def escape_latex(text: str) -> str:
    """Escape what LaTeX would take as a command; pandas does not know all of the signs that tables here hold."""
    return text.translate(_LATEX)


def to_rich(table: Table) -> rich.table.Table:
    """Lay a table out for the terminal."""
    title, note = rich.text.Text(table.title), rich.text.Text(table.note)
    laid_out = rich.table.Table(title=title, caption=note, box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in table.columns:
        if column.style == "text":
            laid_out.add_column(rich.text.Text(column.title), overflow="fold")
        else:
            # A number in one piece is worth a header in several.
            header = rich.text.Text(column.title.replace(" ", "\n"))
            laid_out.add_column(header, justify="right", no_wrap=True)
    for row in table.shown():
        laid_out.add_row(*map(rich.text.Text, row))
    return laid_out
