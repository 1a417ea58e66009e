from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.figures import Figure, figure_table


@pytest.mark.parametrize(
    ("value", "bound", "ok"),
    [(1.1, "at most", True), (1.11, "at most", False), (1.1, "at least", True), (1.09, "at least", False)],
)
def test_a_limit_has_a_good_side_and_belongs_to_it(value: float, bound, ok: bool) -> None:
    assert Figure("a.b", value, "x", "how", 1.1, bound).ok is ok


def test_a_figure_without_a_limit_is_neither_good_nor_bad() -> None:
    assert Figure("a.b", 1.0, "s", "how").to_dict()["ok"] is None


def test_the_table_says_what_was_measured_its_range_and_what_is_missed() -> None:
    figures = [
        Figure("loop.ratio", 1.2345, "x", "how", 1.1, samples=(1.1, 1.2345, 1.3)),
        Figure("read.speed", 1234.5, "frames/s", "how", 800, "at least"),
        Figure("loop.seconds", 0.5, "s", "how"),
    ]
    text = io.StringIO()
    Console(file=text, width=80).print(figure_table(figures, "two cores"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.getvalue().splitlines() if "│" in line]
    assert rows == [
        ["loop.ratio", "1.23 x (1.1 … 1.3)", "≤ 1.1", "no"],
        ["read.speed", "1234 frames/s", "≥ 800", "yes"],
        ["loop.seconds", "0.5 s", "", ""],
    ]
