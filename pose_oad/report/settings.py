"""Error against a parameter that varies within a study, such as the length of a window or the student."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from pose_oad.report.groups import Group, short_names
from pose_oad.report.material import Material, error_title
from pose_oad.report.pictures import (
    NothingToDraw,
    Picture,
    at_one_condition,
    at_one_rate,
    bounds,
    focus,
    plot_series,
    series_of,
)
from pose_oad.report.statistics import Estimate
from pose_oad.report.style import legend_below, new_figure, plain_numbers


def varied_settings(groups: Sequence[Group]) -> list[str]:
    """Return the dotted keys that vary among groups without being a strategy's own."""
    return [key for key, _ in groups[0].condition] if groups else []


def error_against_setting(material: Material, key: str) -> Picture:
    """Draw the error against one parameter, a line per label, at the rate that most labels have.

    Args:
        material: what to draw
        key: dotted key of the parameter; its values are an axis of numbers, or of names in their order

    Raises:
        NothingToDraw: if the error is known at fewer than two values.
    """
    measured = [group for group in material.online if material.estimate(group, material.error).n]
    groups, where = at_one_condition(measured, free=key)
    groups, at_rate = at_one_rate(groups)
    places = value_places([dict(group.setting)[key] for group in groups])
    if len(places) < 2:
        raise NothingToDraw(f"the error is known at fewer than two values of {key}")
    figure = new_figure()
    axes = figure.add_subplot()
    levels: dict[bool, list[float]] = {False: [], True: []}
    shown = series_of(groups, across=key)
    for series in shown:
        ordered = sorted(series.groups, key=lambda group: places[dict(group.setting)[key]])
        x = [Estimate(places[dict(group.setting)[key]], 0.0, 1) for group in ordered]
        y = [material.estimate(group, material.error) for group in ordered]
        levels[series.is_reference] += bounds(y)
        plot_series(axes, series.look, series.name, x, y, joined=True)
    title = f"Error against {short_names([key])[key].replace('_', ' ')}{at_rate}"
    axes.set(xlabel=key, ylabel=error_title(material.error), title=title)
    _label_places(axes, places)
    aside = focus(axes, levels[False], levels[True])
    legend_below(figure, [series.name for series in shown])
    caption = (
        f"Mean over seeds with the {100 * material.confidence:g} % interval, for each value of {key}. Lines that cross "
        f"mean that the best strategy depends on it; parallel lines, that it does not.{aside}{where}"
    )
    return Picture(f"error_against_{key.replace('.', '_')}", title, caption, figure)


def value_places(values: Sequence[str]) -> dict[str, float]:
    """Place a parameter's values on an axis: numbers where they belong, names side by side in their order.

    Args:
        values: with repetitions

    Returns:
        The place of each different value.
    """
    different = list(dict.fromkeys(values))
    try:
        return {value: float(value) for value in different}
    except ValueError:
        return {value: float(number) for number, value in enumerate(different)}


def _label_places(axes: Axes, places: dict[str, float]) -> None:
    low, high = min(places.values()), max(places.values())
    plain_numbers(axes, logarithmic=low > 0 and high / low > 10)
    axes.set_xticks(list(places.values()), list(places))
    axes.margins(x=0.06)
