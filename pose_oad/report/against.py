"""The figures of an error against something: the rate, what it costs, or a parameter that varies within a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from pose_oad.report.groups import Group, short_names
from pose_oad.report.material import Material, error_title
from pose_oad.report.pictures import (
    NothingToDraw,
    Picture,
    Series,
    at_one_condition,
    at_one_rate,
    focus,
    left_out_note,
    series_of,
)
from pose_oad.report.statistics import Estimate
from pose_oad.report.style import ASIDE, new_axes, plain_numbers

# Where a group belongs on the x axis; None for a reference that has no place there.
_Place = Callable[[Group], Estimate | None]

_COSTS = {
    "teacher_calls": (
        "teacher calls",
        "Error against teacher calls",
        "A strategy that scores frames by the teacher's answers asks about every frame, however few it trains on.",
    ),
    "optimizer_steps": (
        "optimiser steps",
        "Error against optimiser steps",
        "At equal epochs a higher rate takes more steps; along this axis one sees what training alone buys.",
    ),
    "seconds/train": (
        "training, s",
        "Error against training time",
        "Seconds belong to the machines named at the top of the page and do not carry over to others; steps do.",
    ),
}


def error_against_rate(material: Material) -> Picture:
    """Draw the error against the share of frames that are labelled, where there are two rates or more."""
    groups = [group for group in material.online if material.estimate(group, material.error).n]
    rates = sorted({group.rate for group in groups if group.rate is not None})
    if len(rates) < 2:
        raise NothingToDraw(f"runs of two rates or more are needed; there {'is' if rates else 'are'} {len(rates)}")
    axes = new_axes()
    shown = series_of(groups)

    def place(group: Group) -> Estimate | None:
        return None if group.rate is None else Estimate(group.rate, 0.0, 1)

    aside = _draw(axes, material, shown, place, "Error against rate")
    axes.set_xscale("log")
    axes.set_xticks(rates)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.4g} %"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_xlabel("share of frames labelled (logarithmic)")
    caption = (
        f"Mean over {material.unit} with the {100 * material.confidence:g} % interval. A strategy earns its keep where "
        f"its line stays below that of {material.baseline} at the same rate; intervals that overlap do not settle it, "
        "the paired differences in the table are the fairer test. More labelled frames also mean more optimiser steps. "
        f"{material.lowest(groups, material.error)}"
    )
    return Picture.of("error_against_rate", axes, shown, caption.strip() + aside + left_out_note(groups))


def error_against_cost(material: Material, cost: str) -> Picture:
    """Draw the error against a final metric: teacher calls, optimiser steps, or the seconds spent in training."""
    x_title, title, note = _COSTS[cost]
    groups = _with_both(material, cost)
    axes = new_axes()
    shown = series_of(groups)
    aside = _draw_costs(axes, material, shown, cost, x_title, title)
    caption = (
        f"A point per rate, joined by rising rate; bars are {100 * material.confidence:g} % intervals over "
        f"{material.unit}. Lower and further left is better. Dashed grey: references that cost nothing of the kind. "
        f"{note}"
    )
    name = f"error_against_{cost.replace('/', '_')}"
    return Picture.of(name, axes, shown, caption + aside + left_out_note(groups))


def pareto_picture(material: Material) -> Picture:
    """Draw error against teacher calls with the front of those that nothing else beats in both."""
    groups = _with_both(material, "teacher_calls")
    trials = [group for group in groups if not group.is_reference]
    if len(trials) < 2:
        raise NothingToDraw("two strategies or rates with error and teacher calls are needed")
    calls = np.array([material.estimate(group, "teacher_calls").mean for group in trials])
    errors = np.array([material.estimate(group, material.error).mean for group in trials])
    front = pareto_front(calls, errors)
    axes = new_axes()
    x, y = calls[front], errors[front]
    axes.step(x, y, where="post", color="0.2", linewidth=1.0, zorder=1, label="Pareto front")
    axes.plot(x, y, "o", markersize=13, markerfacecolor="none", color="0.2")
    shown = series_of(groups)
    title = "Error and teacher calls: what nothing else beats"
    aside = _draw_costs(axes, material, shown, "teacher_calls", "teacher calls", title, {"linestyle": "none"})
    best = ", ".join(trials[i].full_name for i in front)
    caption = (
        f"Ringed: the trials for which no other has both fewer teacher calls and a lower error: {best}. "
        f"Everything above the step line pays more than needed. Means over {material.unit}; references take no "
        "part in the front."
    )
    return Picture.of("pareto", axes, shown, caption + aside + left_out_note(groups))


def pareto_front(costs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Find the points that no other point beats: none costs at most as much with a smaller or equal error.

    Returns:
        Indices of the front by rising cost, and so by falling error; of equal points the first.
    """
    order = np.lexsort((errors, costs))
    best = np.minimum.accumulate(np.r_[np.inf, errors[order]])[:-1]
    return order[errors[order] < best]


def varied_settings(groups: Sequence[Group]) -> list[str]:
    """Return the dotted keys that vary among groups without being a strategy's own."""
    return [key for key, _ in groups[0].condition] if groups else []


def error_against_setting(material: Material, key: str) -> Picture:
    """Draw the error against one parameter, by its dotted key, a line per label, at the rate that most labels have.

    The parameter's values are an axis of numbers, or of names in their order.
    """
    measured = [group for group in material.online if material.estimate(group, material.error).n]
    groups, where = at_one_condition(measured, free=key)
    groups, at_rate = at_one_rate(groups)
    places = value_places([dict(group.setting)[key] for group in groups])
    if len(places) < 2:
        raise NothingToDraw(f"the error is known at fewer than two values of {key}")
    groups = sorted(groups, key=lambda group: places[dict(group.setting)[key]])
    axes = new_axes()
    title = f"Error against {short_names([key])[key].replace('_', ' ')}{at_rate}"
    shown = series_of(groups, across=key)
    aside = _draw(axes, material, shown, lambda group: Estimate(places[dict(group.setting)[key]], 0.0, 1), title)
    low, high = min(places.values()), max(places.values())
    plain_numbers(axes, logarithmic=low > 0 and high / low > 10)
    axes.set_xticks(list(places.values()), list(places))
    axes.margins(x=0.06)
    axes.set_xlabel(key)
    caption = (
        f"Mean over {material.unit} with the {100 * material.confidence:g} % interval, for each value of {key}. Lines "
        f"that cross mean that the best strategy depends on it; parallel lines, that it does not.{aside}{where}"
    )
    return Picture.of(f"error_against_{key.replace('.', '_')}", axes, shown, caption)


def value_places(values: Sequence[str]) -> dict[str, float]:
    """Place each of a parameter's values on an axis: numbers where they belong, names side by side in their order."""
    different = list(dict.fromkeys(values))
    try:
        return {value: float(value) for value in different}
    except ValueError:
        return {value: float(number) for number, value in enumerate(different)}


def _with_both(material: Material, cost: str) -> list[Group]:
    groups = [g for g in material.online if material.estimate(g, material.error).n and material.estimate(g, cost).n]
    if not any(material.estimate(group, cost).mean > 0 for group in groups):
        raise NothingToDraw(f"no run has both {material.error} and {cost}")
    return groups


def _draw_costs(
    axes: Axes,
    material: Material,
    shown: Sequence[Series],
    cost: str,
    x_title: str,
    title: str,
    style: dict[str, str] | None = None,
) -> str:
    def place(group: Group) -> Estimate | None:
        found = material.estimate(group, cost)
        return found if found.mean > 0 else None

    aside = _draw(axes, material, shown, place, title, style)
    low, high = (float(limit) for limit in axes.dataLim.intervalx)
    logarithmic = low > 0 and high / low > 10
    plain_numbers(axes, logarithmic)
    axes.set_xlabel(f"{x_title} (logarithmic)" if logarithmic else x_title)
    return aside


def _draw(
    axes: Axes,
    material: Material,
    shown: Sequence[Series],
    place: _Place,
    title: str,
    style: dict[str, str] | None = None,
) -> str:
    """Draw every series with its intervals, one without a place as a dashed line; return what to add to the caption."""
    ends: dict[bool, list[float]] = {False: [], True: []}
    for series in shown:
        y = [material.estimate(group, material.error) for group in series.groups]
        means, widths = np.array([e.mean for e in y]), np.nan_to_num([e.half_width for e in y])
        ends[series.is_reference] += [*(means - widths).tolist(), *(means + widths).tolist()]
        if place(series.groups[0]) is None:
            label = f"{series.name}{ASIDE}{means[0]:.1f} px"
            axes.axhline(means[0], color=series.look.color, linestyle=series.look.line, linewidth=1.2, label=label)
            continue
        x = [place(group) or Estimate(0.0, 0.0, 1) for group in series.groups]
        x_widths = np.nan_to_num([e.half_width for e in x])
        axes.errorbar(
            [e.mean for e in x],
            means,
            xerr=x_widths if x_widths.any() else None,
            yerr=widths if widths.any() else None,
            label=series.name,
            capsize=2,
            elinewidth=0.9,
            **series.look.curve | (style or {}),
        )
    axes.set(ylabel=error_title(material.error), title=title)
    return focus(axes, ends[False], ends[True])
