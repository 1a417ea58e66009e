"""How a label looks: colour, marker and line, the same in every figure, told apart without colour too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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

#: What stands between a name and a remark in a legend entry.
ASIDE = ": "

#: Labels with a look of their own, whatever else is in a report.
_USUAL = ("random", "uniform", "error", "confidence")

#: Type sizes, spines and grid of all figures, for Matplotlib.
HOUSE_STYLE: dict[Any, Any] = {
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
    """How a series is drawn, in Matplotlib's terms; the hatch is that of bars."""

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

    The usual strategies keep their look whoever else is there.
    """

    def look(choices: tuple[Sequence[Any], ...], number: int) -> Look:
        return Look(*(some[number % len(some)] for some in choices))

    present = [name if name in strategies else "" for name in _USUAL]
    free = [number for number, name in enumerate(present) if not name]
    free += range(len(_USUAL), len(_USUAL) + len(strategies))
    numbers = {name: number for number, name in enumerate(present) if name}
    numbers |= dict(zip((name for name in strategies if name not in _USUAL), free, strict=False))
    return {name: look((_COLORS, _MARKERS, _LINES, _HATCHES), number) for name, number in numbers.items()} | {
        name: look((_GRAYS, _MARKERS[::-1], _DASHES, _HATCHES), number) for number, name in enumerate(references)
    }


def new_axes(height: float = 4.0, width: float = 8.0) -> Axes:
    """Return the axes of a new figure, so many inches in size, that makes room for what is put outside of them."""
    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def legend_below(axes: Axes, order: Sequence[str]) -> None:
    """Put the legend below the axes, by names that labels begin with: Matplotlib's order is by kind of mark."""
    handles: dict[str, Any] = {}
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
        handles.setdefault(label, handle)
    place = {name: number for number, name in enumerate(order)}
    labels = sorted(handles, key=lambda label: place.get(label.partition(ASIDE)[0], len(place)))
    if labels:
        figure = axes.get_figure(root=True)
        assert figure is not None
        # About 14 characters of this size fill an inch; line and gaps of an entry take the room of ten.
        columns = max(1, int(14 * figure.get_figwidth() / (max(map(len, labels)) + 10)))
        shown = [handles[label] for label in labels]
        figure.legend(shown, labels, loc="outside lower center", ncols=min(columns, len(labels)))


def plain_numbers(axes: Axes, logarithmic: bool) -> None:
    """Write the numbers of the x axis with thousands apart, on a logarithmic axis at 1, 2 and 5 of each decade."""
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
