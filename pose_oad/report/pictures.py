"""What every figure of a report shares: its caption, its series, the one rate and setting that it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pose_oad.report.groups import Group, short_names
from pose_oad.report.style import Look, legend_below, looks

#: More lines than this in one figure cannot be told apart.
MOST_LINES = 8


class NothingToDraw(Exception):  # noqa: N818 - not an error: a figure whose data are absent
    """Raised by a figure whose data are absent; the message is the reason, for the log and the page."""


@dataclass(frozen=True)
class Picture:
    """A figure with the name of its files, a title, and a caption: what to see and how it was computed."""

    name: str
    title: str
    caption: str
    figure: Figure

    @classmethod
    def of(cls, name: str, axes: Axes, shown: Sequence[Series], caption: str) -> Picture:
        """Put the legend below finished axes."""
        legend_below(axes, [series.name for series in shown])
        figure = axes.get_figure(root=True)
        assert figure is not None
        return cls(name, axes.get_title(loc=rcParams["axes.titlelocation"]), caption.strip(), figure)


@dataclass(frozen=True)
class Series:
    """A label in one setting, at every rate: its groups are in the order of rising rates."""

    name: str
    is_reference: bool
    groups: tuple[Group, ...]
    look: Look


def series_of(groups: Sequence[Group], across: str = "") -> list[Series]:
    """Collect groups into series, strategies first; at most :data:`MOST_LINES` strategies and as many references.

    A parameter that varies ``across`` a series does not belong to its name.
    """
    members: dict[tuple[bool, str], list[Group]] = {}
    for group in groups:
        named = replace(group, setting=tuple(pair for pair in group.setting if pair[0] != across))
        members.setdefault((group.is_reference, named.name), []).append(group)
    names = [[name for reference, name in members if reference is wanted] for wanted in (False, True)]
    look = looks(*names)
    return [
        Series(name, wanted, tuple(sorted(members[wanted, name], key=lambda g: g.rate or 0.0)), look[name])
        for wanted in (False, True)
        for name in names[wanted][:MOST_LINES]
    ]


def left_out_note(groups: Sequence[Group]) -> str:
    """Say how many strategies are not drawn because there are too many; empty if all are."""
    names = {group.name for group in groups if not group.is_reference}
    return f" {MOST_LINES} of {len(names)} strategies are shown." if len(names) > MOST_LINES else ""


def at_one_condition(groups: Sequence[Group], free: str = "") -> tuple[list[Group], str]:
    """Choose, among the settings that are not a strategy's own, the one that most groups have, the first of equals.

    Returns:
        The groups of that setting, which is taken out of their names, but for a key that may still differ; and a
        sentence on it, empty if there is only one.
    """
    conditions = [tuple(pair for pair in group.condition if pair[0] != free) for group in groups]
    counts = Counter(conditions)
    if len(counts) < 2:
        return list(groups), ""
    chosen = max(counts, key=lambda condition: counts[condition])
    kept = [
        replace(group, setting=tuple(pair for pair in group.setting if pair not in chosen))
        for group, condition in zip(groups, conditions, strict=True)
        if condition == chosen
    ]
    names = short_names([key for key, _ in chosen])
    described = ", ".join(f"{names[key]} is {value}" for key, value in chosen)
    return kept, f" Shown where {described}; the tables have the rest."


def at_one_rate(groups: Sequence[Group]) -> tuple[list[Group], str]:
    """Choose the rate that most strategies have, the lowest of equals, where the choice of frames matters most.

    Returns:
        The groups of that rate and the references without one; and how to name the rate, empty where there is none.
    """
    counts = Counter(group.rate for group in groups if group.rate is not None and not group.is_reference)
    if not counts:
        return [group for group in groups if group.rate is None], ""
    rate = min(counts, key=lambda r: (-counts[r], r))
    return [group for group in groups if group.rate in (rate, None)], f" at {100 * rate:.4g} %"


def focus(axes: Axes, strategies: Sequence[float], references: Sequence[float]) -> str:
    """Choose the range of the y axis, px, so that differences between strategies can be seen.

    A reference as far off as a perfect teacher would press all strategies into one line.

    Returns:
        What to add to the caption if the range leaves out a reference; empty otherwise.
    """
    inside = [value for value in strategies if np.isfinite(value)]
    if not inside:
        return ""
    low, high = min(inside), max(inside)
    reach = 1.5 * max(high - low, 0.05 * high)
    near = [value for value in references if low - reach <= value <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.06 * max(high - low, 0.05 * high)
    axes.set_ylim(low - margin, high + margin)
    off = any(value < low or value > high for value in references)
    return " References far off the strategies lie outside of the range that is shown." if off else ""
