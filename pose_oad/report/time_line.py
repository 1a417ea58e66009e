"""A picture of what a device does when: the windows of a stream, and what is done for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

# From top to bottom; Okabe and Ito's colours.
_LINES = {
    "choose": (("select",), "#F0E442"), "send": (("up", "down", "swap"), "0.6"),
    "label": (("teacher",), "#0072B2"), "train": (("train",), "#D55E00"),
}  # fmt: skip
_ORDER = ("select", "up", "teacher", "train", "down", "swap")


def time_line(rows: Sequence[Mapping[str, Any]], title: str, most: int = 40) -> Figure:
    """Draw when windows are complete, chosen from, labelled, trained on and ready.

    Args:
        rows: ledger rows with ``latency/…``
        title: title of the figure
        most: windows that are drawn, from the first on
    """
    rows = rows[:most]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for level, (parts, color) in enumerate(_LINES.values()):
        bars = [bar for row in rows for name, bar in _bars(row).items() if name in parts and 0 < bar[1] < float("inf")]
        axes.broken_barh(bars, (-level - 0.4, 0.8), color=color)
    ends = [(row["latency/closed_s"], row["latency/dropped"], row["latency/ready_s"]) for row in rows]
    for level, label, marker, times in (
        (1, "complete", "|", [closed for closed, dropped, _ in ends if not dropped]),
        (1, "complete, dropped", "x", [closed for closed, dropped, _ in ends if dropped]),
        (-len(_LINES), "ready", "^", [ready for *_, ready in ends if ready is not None and ready < float("inf")]),
    ):
        axes.plot(times, [level] * len(times), marker, color="black", markersize=7, label=label)
    axes.set_yticks([1, *(-level for level in range(len(_LINES) + 1))], ["window", *_LINES, "serve"])
    axes.set(xlabel="time of the stream, s", title=fill(title, 90))
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _bars(row: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return start and length of a window's parts, s, one behind the other."""
    at, bars = row["latency/started_s"], dict[str, tuple[float, float]]()
    for part in _ORDER if at is not None else ():
        bars[part] = (at, row[f"latency/{part}_s"])
        at += bars[part][1]
    return bars
