"""What a benchmark found: figures with their limits, as a table and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: ``section.figure``
        value: what was measured, the median of the samples where there are several
        unit: of value, limit and samples; ``x`` for a ratio
        how: what was measured against what, in a few words
        limit: what it should reach; None for a number that only explains others
        bound: which side of the limit is the good one
        samples: the measurements behind the value, in the order they were taken
    """

    name: str
    value: float
    unit: str
    how: str
    limit: float | None = None
    bound: Literal["at most", "at least"] = "at most"
    samples: tuple[float, ...] = ()

    @property
    def ok(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        if self.limit is None:
            return None
        return self.value <= self.limit if self.bound == "at most" else self.value >= self.limit

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self) | {"ok": self.ok}


def figure_table(figures: Sequence[Figure], title: str) -> Table:
    """Lay figures out for the terminal: a row each, with the range of the samples where there are several."""
    table = Table(title=title)
    table.add_column("figure", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    table.add_column("ok")
    sign = {"at most": "≤", "at least": "≥"}
    for figure in figures:
        spread = f" ({_short(min(figure.samples))} … {_short(max(figure.samples))})" if len(figure.samples) > 1 else ""
        limit = "" if figure.limit is None else f"{sign[figure.bound]} {figure.limit:g}"
        verdict = {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}[figure.ok]
        table.add_row(figure.name, f"{_short(figure.value)} {figure.unit}{spread}", limit, verdict)
    return table


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
