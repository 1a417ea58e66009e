from __future__ import annotations

import csv
import io
import math

import pytest
from rich.console import Console

from pose_oad.report.layout import (
    Cell,
    Column,
    Style,
    Table,
    escape_latex,
    show,
    to_csv,
    to_latex,
    to_markdown,
    to_rich,
)
from pose_oad.report.statistics import Estimate

TABLE = Table(
    "small",
    "Error, 100 % of it",
    (
        Column("strategy", "strategy"),
        Column("rate", "rate", "rate"),
        Column("e_px", "error_px", "px"),
        Column("p", "p", "p"),
    ),
    (("a|b", 0.1, Estimate(45.04, 1.26, 3), 0.0004), ("<b>", None, Estimate(math.nan, math.nan, 0), math.nan)),
    "A note.",
)


@pytest.mark.parametrize(
    ("cell", "style", "text"),
    [
        (Estimate(45.04, 1.26, 3), "px", "45.0 ± 1.3"),
        (Estimate(45.04, math.nan, 1), "px", "45.0"),
        (Estimate(0.256, 0.01, 3), "share", "25.6 ± 1.0 %"),
        (Estimate(-1.23, 0.5, 3), "signed", "−1.2 ± 0.5"),
        (Estimate(1.23, 0.5, 3), "signed", "+1.2 ± 0.5"),
        (Estimate(12345.0, 9.0, 3), "count", "12,345"),
        (Estimate(1.234, 0.1, 3), "seconds", "1.23"),
        (Estimate(1234.4, 0.1, 3), "seconds", "1,234"),
        (0.01, "rate", "1 %"),
        (0.125, "rate", "12.5 %"),
        (0.0004, "p", "< 0.001"),
        (0.0436, "p", "0.044"),
        (None, "px", "–"),
        ("", "text", "–"),
        (math.nan, "p", "–"),
        (Estimate(math.nan, math.nan, 0), "count", "–"),
    ],
)
def test_cells_as_readers_see_them(cell: Cell, style: Style, text: str) -> None:
    assert show(cell, style) == text


def test_markdown_keeps_its_columns_and_shows_markup_as_text() -> None:
    lines = to_markdown(TABLE).splitlines()
    assert lines[2] == r"| strategy | rate | error\_px | p |"
    assert lines[4] == r"| a\|b | 10 % | 45.0 ± 1.3 | &lt; 0.001 |"
    assert lines[5] == "| &lt;b> | – | – | – |"


def test_csv_holds_raw_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == {
        "strategy": "a|b", "rate": "0.1", "e_px": "45.04", "e_px_half_width": "1.26", "e_px_n": "3", "p": "0.0004"
    }  # fmt: skip
    assert rows[1] == {"strategy": "<b>", "rate": "", "e_px": "", "e_px_half_width": "", "e_px_n": "0", "p": ""}


def test_latex_escapes_what_it_would_take_for_commands() -> None:
    assert escape_latex(r"50 % of a_b & {c} #1 $x^2~\n") == (
        r"50 \% of a\_b \& \{c\} \#1 \$x\textasciicircum{}2\textasciitilde{}\textbackslash{}n"
    )
    written = to_latex(TABLE)
    assert r"\caption{Error, 100 \% of it}" in written
    assert r"a|b & 10 \% & 45.0 $\pm$ 1.3 & \textless{} 0.001 \\" in written
    assert written.count(r"\toprule") == written.count(r"\midrule") == written.count(r"\bottomrule") == 1
    assert r"\begin{tabular}{lrrr}" in written


def test_columns_can_be_chosen() -> None:
    assert [column.name for column in TABLE.select("p", "strategy", "unknown").columns] == ["strategy", "p"]


def test_the_terminal_shows_brackets_as_they_are() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(to_rich(Table("t", "[red]t", (Column("a", "a"),), (("[bold]x[/]",),), "")))
    text = console.export_text()
    assert "[bold]x[/]" in text
    assert "[red]t" in text
