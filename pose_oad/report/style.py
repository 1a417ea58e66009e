"""How a label looks: colour, marker and line, the same in every figure, told apart without colour too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Okabe and Ito's colours, which stay apart for colour-blind readers; their yellow is too light for lines on white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "oo")
_GRAYS = ("0.35", "0.55", "0.15", "0.65")
_DASHES: tuple[Any, ...] = ((0, (8, 3)), (0, (2, 2)), (0, (8, 2, 2, 2)), (0, (1, 3)), (0, (12, 3, 3, 3)))

# What stands between a name and a remark in a legend entry.
_ASIDE = ": "

#: Labels with a look of their own, whatever else is in a report.
_USUAL = ("random", "uniform", "error", "confidence")

_RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.08,
    "svg.hashsalt": "pose_oad",
}


@dataclass(frozen=True)
class Look:
    """How a series is drawn.

    Attributes:
        color: Matplotlib colour
        marker: Matplotlib marker
        line: Matplotlib line style
        hatch: of bars
    """

    color: str
    marker: str
    line: Any
    hatch: str

    @property
    def curve(self) -> dict[str, Any]:
        """Arguments of ``plot`` and ``errorbar``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.line, "linewidth": 1.5}


def looks(strategies: Sequence[str], references: Sequence[str]) -> dict[str, Look]:
    """Assign a look to every series of a report: colours to strategies, greys to references.

    Args:
        strategies: names of series; the usual strategies keep their look whoever else is there
        references: names of series that are shown for comparison
    """
    others = [name for name in strategies if name not in _USUAL]
    numbers = {name: _USUAL.index(name) for name in strategies if name in _USUAL}
    free = [n for n in range(len(_USUAL) + len(others)) if n not in numbers.values()]
    numbers |= dict(zip(others, free, strict=False))
    found = {
        name: Look(_of(_COLORS, n), _of(_MARKERS, n), _of(_LINES, n), _of(_HATCHES, n)) for name, n in numbers.items()
    }
    return found | {
        name: Look(_of(_GRAYS, n), _of(_MARKERS[::-1], n), _of(_DASHES, n), _of(_HATCHES, n))
        for n, name in enumerate(references)
    }


def _of(choices: Sequence[Any], number: int) -> Any:
    return choices[number % len(choices)]


@contextmanager
def house_style() -> Iterator[None]:
    """Apply type sizes, spines and grid to the figures made and saved inside."""
    with rc_context(_RC):
        yield


def new_figure(height: float = 4.0, width: float = 8.0) -> Figure:
    """Return an empty figure that makes room for what is put outside of its axes.

    Args:
        height: inches
        width: inches
    """
    return Figure(figsize=(width, height), layout="constrained")


def legend_below(figure: Figure, order: Sequence[str] = ()) -> None:
    """Put one legend for all axes below them, each label once.

    Args:
        figure: with labelled lines, points or bars
        order: labels begin with these names, in this order; others follow. Matplotlib's own order is by kind of mark
    """
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    place = {name: number for number, name in enumerate(order)}
    labels = sorted(handles, key=lambda label: place.get(label.partition(_ASIDE)[0], len(place)))
    if labels:
        # About 14 characters of this size fill an inch; line and gaps of an entry take the room of ten.
        columns = max(1, int(14 * figure.get_figwidth() / (max(map(len, labels)) + 10)))
        shown = [handles[label] for label in labels]
        figure.legend(shown, labels, loc="outside lower center", ncols=min(columns, len(labels)))


def with_aside(name: str, aside: str) -> str:
    """Return a legend entry for a name with a remark behind it."""
    return f"{name}{_ASIDE}{aside}"


def plain_numbers(axes: Axes, logarithmic: bool) -> None:
    """Write the numbers of the x axis with thousands apart, on a logarithmic axis at 1, 2 and 5 of each decade."""
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
