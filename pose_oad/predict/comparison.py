"""The figures of several checkpoints side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

Figures = Mapping[str, Mapping[str, float]]


def comparison_table(figures: Figures, title: str) -> Table:
    """Lay figures out, a column per checkpoint; the best of a row is starred, unless all are alike.

    More than two checkpoints are numbered, and named below: their names would leave no room for figures.

    Args:
        figures: by checkpoint and name; a name that ends in ``_px``, or has it before a group, is better when small;
            an undefined figure shows as a dash
        title: of the table
    """
    numbered = len(figures) > 2
    named = [f"{number} {name}" for number, name in enumerate(figures, start=1)] if numbered else []
    caption = "\n".join([*named, *["* best of the row"][: len(figures) - 1]])
    table = Table(title=escape(title), caption=Text(caption), caption_justify="left")
    table.add_column("", overflow="fold")
    for number, checkpoint in enumerate(figures, start=1):
        table.add_column(Text(str(number) if numbered else checkpoint), justify="right", overflow="fold", min_width=7)
    for name in dict.fromkeys(name for values in figures.values() for name in values):
        row = [values.get(name, math.nan) for values in figures.values()]
        best = best_of(name, row)
        cells = [_phrase(name, value) for value in row]
        # What reads alike is alike: an exported network is not "better" in its fifth digit.
        chosen = None if math.isnan(best) or len(set(cells)) == 1 else _phrase(name, best)
        starred = (f"[bold]{cell} *[/]" if cell == chosen else cell for cell in cells)
        table.add_row(name, *starred)
    return table


def best_of(name: str, values: list[float]) -> float:
    """Return the best of some figures of one name: the smallest px, the largest share; NaN where all are alike."""
    defined = [value for value in values if not math.isnan(value)]
    if len(set(defined)) < 2:
        return math.nan
    return min(defined) if _in_px(name) else max(defined)


def without_nan(values: Any) -> Any:
    """Return figures, and whatever they are nested in, as JSON can hold them: None where one is undefined."""
    if isinstance(values, Mapping):
        return {name: without_nan(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [without_nan(value) for value in values]
    return None if isinstance(values, float) and math.isnan(values) else values


def _in_px(name: str) -> bool:
    return name.endswith("_px") or name.partition("/")[0].endswith("_px")


def _phrase(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1f}" if _in_px(name) else f"{value:.3f}"
