"""Error against what it costs: teacher calls, optimiser steps, seconds; and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pose_oad.report.groups import Group
from pose_oad.report.material import Material, error_title
from pose_oad.report.pictures import (
    NothingToDraw,
    Picture,
    bounds,
    draw_level,
    focus,
    left_out_note,
    plot_series,
    series_of,
)
from pose_oad.report.style import legend_below, new_figure, plain_numbers


def error_against_calls(material: Material) -> Picture:
    """Draw the error against the frames the teacher was asked about, for selection or for training."""
    note = "A strategy that scores frames by the teacher's answers asks about every frame, however few it trains on."
    return _against(material, "teacher_calls", "teacher calls", "Error against teacher calls", note)


def error_against_steps(material: Material) -> Picture:
    """Draw the error against optimiser steps."""
    note = "At equal epochs a higher rate takes more steps; along this axis one sees what training alone buys."
    return _against(material, "optimizer_steps", "optimiser steps", "Error against optimiser steps", note)


def error_against_seconds(material: Material) -> Picture:
    """Draw the error against the seconds spent in training."""
    note = "Seconds belong to the machines named at the top of the page and do not carry over to others; steps do."
    return _against(material, "seconds/train", "training, s", "Error against training time", note)


def _against(material: Material, cost: str, cost_title: str, title: str, note: str) -> Picture:
    groups = _with_both(material, cost)
    figure = new_figure()
    axes = figure.add_subplot()
    _draw_points(axes, material, groups, cost, joined=True)
    aside = _finish(figure, axes, material, groups, cost_title, title)
    name = f"error_against_{cost.replace('/', '_')}"
    caption = (
        f"A point per rate, joined by rising rate; bars are {100 * material.confidence:g} % intervals over seeds. "
        f"Lower and further left is better. Dashed grey: references that cost nothing of the kind. {note}"
    )
    return Picture(name, title, caption + aside + left_out_note(groups), figure)


def pareto_picture(material: Material) -> Picture:
    """Draw error against teacher calls with the front of those that nothing else beats in both.

    Raises:
        NothingToDraw: if there are fewer than two strategies or rates with both numbers.
    """
    groups = _with_both(material, "teacher_calls")
    trials = [group for group in groups if not group.is_reference]
    if len(trials) < 2:
        raise NothingToDraw("two strategies or rates with error and teacher calls are needed")
    calls = np.array([material.estimate(group, "teacher_calls").mean for group in trials])
    errors = np.array([material.estimate(group, material.error).mean for group in trials])
    front = pareto_front(calls, errors)
    figure = new_figure()
    axes = figure.add_subplot()
    x, y = calls[front], errors[front]
    axes.step(x, y, where="post", color="0.2", linewidth=1.0, zorder=1, label="Pareto front")
    axes.plot(x, y, "o", markersize=13, markerfacecolor="none", color="0.2")
    _draw_points(axes, material, groups, "teacher_calls", joined=False)
    title = "Error and teacher calls: what nothing else beats"
    aside = _finish(figure, axes, material, groups, "teacher calls", title)
    best = ", ".join(trials[i].full_name for i in front)
    caption = (
        f"Ringed: the trials for which no other has both fewer teacher calls and a lower error: {best}. "
        "Everything above the step line pays more than needed. Means over seeds; references take no part in the front."
    )
    return Picture("pareto", title, caption + aside + left_out_note(groups), figure)


def pareto_front(costs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Find the points that no other point beats: none costs at most as much with a smaller or equal error.

    Args:
        costs: shape (n,)
        errors: shape (n,)

    Returns:
        Indices of the front by rising cost, and so by falling error; of equal points the first.
    """
    order = np.lexsort((errors, costs))
    best = np.minimum.accumulate(errors[order])
    improves = np.r_[True, errors[order][1:] < best[:-1]] if len(order) else np.zeros(0, dtype=bool)
    return order[improves]


def _with_both(material: Material, cost: str) -> list[Group]:
    groups = [g for g in material.online if material.estimate(g, material.error).n and material.estimate(g, cost).n]
    if not any(material.estimate(group, cost).mean > 0 for group in groups):
        raise NothingToDraw(f"no run has both {material.error} and {cost}")
    return groups


def _draw_points(axes: Axes, material: Material, groups: Sequence[Group], cost: str, joined: bool) -> None:
    for series in series_of(groups):
        x = [material.estimate(group, cost) for group in series.groups]
        y = [material.estimate(group, material.error) for group in series.groups]
        if x[0].mean > 0:
            plot_series(axes, series.look, series.name, x, y, joined)
        else:
            draw_level(axes, series, y[0])


def _finish(
    figure: Figure, axes: Axes, material: Material, groups: Sequence[Group], cost_title: str, title: str
) -> str:
    """Set scales, labels and legend; return what to add to the caption."""
    low, high = (float(limit) for limit in axes.dataLim.intervalx)
    logarithmic = low > 0 and high / low > 10
    plain_numbers(axes, logarithmic)
    x_title = f"{cost_title} (logarithmic)" if logarithmic else cost_title
    axes.set(xlabel=x_title, ylabel=error_title(material.error), title=title)
    levels: dict[bool, list[float]] = {False: [], True: []}
    for group in groups:
        levels[group.is_reference] += bounds([material.estimate(group, material.error)])
    aside = focus(axes, levels[False], levels[True])
    legend_below(figure, [series.name for series in series_of(groups)])
    return aside
