"""A table's columns and cells, and its forms: terminal, Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, replace
from typing import Literal

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
    """A column of a table.

    Attributes:
        name: in CSV files, with the unit
        title: what readers see
        style: how its cells are shown
    """

    name: str
    title: str
    style: Style = "text"

    @property
    def holds_estimates(self) -> bool:
        """Whether its cells are estimates rather than text or single numbers."""
        return self.style not in ("text", "rate", "p")


@dataclass(frozen=True)
class Table:
    """A table with what a reader needs to know about it.

    Attributes:
        name: of its files
        title: a few words
        columns: its columns
        rows: a cell per column in each
        note: how it was computed and what to keep in mind
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str

    def select(self, *names: str) -> Table:
        """Return the table with only the columns of these names, in its own order."""
        kept = [i for i, column in enumerate(self.columns) if column.name in names]
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
        )

    def without_empty(self) -> Table:
        """Return the table without columns that hold nothing in any row."""
        return self.select(
            *(
                column.name
                for i, column in enumerate(self.columns)
                if any(show(row[i], column.style) != MISSING for row in self.rows)
            )
        )

    def shown(self) -> list[list[str]]:
        """Return every cell as a reader sees it."""
        return [[show(cell, column.style) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]


def show(cell: Cell, style: Style) -> str:
    """Phrase a cell; a dash for what is absent.

    Args:
        cell: text, a number, or an estimate
        style: its column's
    """
    if cell is None or cell == "":
        return MISSING
    if isinstance(cell, str):
        return cell
    mean, half_width = (cell.mean, cell.half_width) if isinstance(cell, Estimate) else (cell, math.nan)
    if not math.isfinite(mean):
        return MISSING
    if style == "rate":
        return f"{100 * mean:.4g} %"
    if style == "p":
        return "< 0.001" if mean < 0.001 else f"{mean:.3f}"
    if style == "count":
        return f"{mean:,.0f}"
    if style == "seconds":
        return f"{mean:,.0f}" if mean >= 100 else f"{mean:.3g}"
    if style == "number":
        return f"{mean:.2f}"
    scale, digits, sign = {"share": (100.0, 1, ""), "signed": (1.0, 1, "+")}.get(style, (1.0, 1, ""))
    interval = f" ± {scale * half_width:.{digits}f}" if math.isfinite(half_width) else ""
    unit = " %" if style == "share" else ""
    return f"{scale * mean:{sign}.{digits}f}".replace("-", "−") + interval + unit


def to_markdown(table: Table) -> str:
    """Write a table as GitHub's Markdown, its note below it."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(_escape_markdown(cell) for cell in cells) + " |"

    rule = "|" + "|".join(" :--- " if column.style == "text" else " ---: " for column in table.columns) + "|"
    body = [line([column.title for column in table.columns]), rule, *(line(row) for row in table.shown())]
    return "\n".join([f"**{_escape_markdown(table.title)}**", "", *body, "", _escape_markdown(table.note), ""])


def _escape_markdown(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return re.sub(r"([\\|*_`\[\]])", r"\\\1", text)


def to_csv(table: Table) -> str:
    """Write a table's raw numbers: a column each for mean, half-width of the interval, and number of values."""
    header: list[str] = []
    for column in table.columns:
        header.append(column.name)
        if column.holds_estimates:
            header += [f"{column.name}_half_width", f"{column.name}_n"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        writer.writerow(value for cell, column in zip(row, table.columns, strict=True) for value in _raw(cell, column))
    return text.getvalue()


def _raw(cell: Cell, column: Column) -> list[object]:
    def number(value: float) -> object:
        return value if math.isfinite(value) else ""

    if not column.holds_estimates:
        return [number(cell) if isinstance(cell, float) else "" if cell is None else cell]
    if isinstance(cell, Estimate):
        return [number(cell.mean), number(cell.half_width), cell.n]
    return [number(cell) if isinstance(cell, float) else "", "", ""]


def to_latex(table: Table) -> str:
    """Write a table in LaTeX for the package booktabs, its note as a comment."""

    def line(cells: list[str]) -> str:
        return "    " + " & ".join(escape_latex(cell) for cell in cells) + r" \\"

    alignment = "".join("l" if column.style == "text" else "r" for column in table.columns)
    lines = [
        f"% {' '.join(table.note.split())}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(table.title)}}}",
        rf"  \label{{tab:{table.name}}}",
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        line([column.title for column in table.columns]),
        r"    \midrule",
        *(line(row) for row in table.shown()),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "–": "--", "−": "$-$", "±": r"$\pm$", "→": r"$\to$", "×": r"$\times$", "Δ": r"$\Delta$", "\n": " ",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Escape what LaTeX would take as a command, in one pass so that no escape is escaped again."""
    return "".join(_LATEX.get(character, character) for character in text)


def to_rich(table: Table) -> rich.table.Table:
    """Lay a table out for the terminal."""
    title, note = rich.text.Text(table.title), rich.text.Text(table.note)
    laid_out = rich.table.Table(title=title, caption=note, box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in table.columns:
        if column.style == "text":
            laid_out.add_column(rich.text.Text(column.title))
        else:
            # A number in one piece is worth a header in several.
            header = rich.text.Text(column.title.replace(" ", "\n"))
            laid_out.add_column(header, justify="right", no_wrap=True)
    for row in table.shown():
        laid_out.add_row(*map(rich.text.Text, row))
    return laid_out
