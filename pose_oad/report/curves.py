"""Error over the stream, and error against the rate."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from pose_oad.report.groups import Group
from pose_oad.report.material import Material, error_title
from pose_oad.report.pictures import (
    NothingToDraw,
    Picture,
    at_one_rate,
    bounds,
    draw_level,
    focus,
    left_out_note,
    level_of,
    plot_series,
    series_of,
)
from pose_oad.report.run_figures import change_points
from pose_oad.report.statistics import Estimate
from pose_oad.report.style import legend_below, new_figure, plain_numbers


def error_over_stream(material: Material) -> Picture:
    """Draw the error of every window, the mean over seeds, a line per label at the rate that most labels have.

    Raises:
        NothingToDraw: if no run has kept a ledger with that error.
    """
    groups, at_rate = at_one_rate(material.online)
    figure = new_figure()
    axes = figure.add_subplot()
    drawn: list[Group] = []
    levels: dict[bool, list[float]] = {False: [], True: []}
    shown = series_of(groups)
    for series in shown:
        frames, errors = window_errors(material, series.groups[0])
        if len(frames):
            drawn.append(series.groups[0])
            levels[series.is_reference] += errors.tolist()
            curve = series.look.curve | ({"linewidth": 1.1} if series.is_reference else {})
            every = max(1, len(frames) // 12)
            axes.plot(frames, errors, label=series.name, markevery=(len(drawn) % every, every), **curve)
    if not drawn:
        raise NothingToDraw(f"no ledger has windows with {material.window_error}")
    changes = shared_changes(material, drawn)
    for frame in changes or ():
        axes.axvline(frame, color="0.8", linewidth=0.7, zorder=0)
    title = f"Error over the stream{at_rate}"
    axes.set(xlabel="frame of the stream", ylabel=error_title(material.window_error), title=title)
    axes.margins(x=0.01)
    plain_numbers(axes, logarithmic=False)
    aside = focus(axes, levels[False], levels[True])
    legend_below(figure, [series.name for series in shown])
    if changes is None:
        marks = "Clips come in another order in each run, so that their changes are not marked."
    else:
        marks = "Thin vertical lines: changes of clip." if changes else ""
    caption = (
        "Every window is predicted before anything in it is trained on; each point is the mean over the frames of a "
        f"window and over seeds{_without_ledger(material, drawn)}. A line that falls below that of the student never "
        f"adapted has learned. {marks}"
    )
    return Picture("error_over_stream", title, caption.strip() + aside + left_out_note(groups), figure)


def _without_ledger(material: Material, groups: list[Group]) -> str:
    runs = [run for group in groups for run in group.runs]
    missing = sum(not material.ledger(run) for run in runs)
    return f" ({missing} of {len(runs)} runs have no ledger and take no part)" if missing else ""


def window_errors(material: Material, group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over a group's runs of the error of each window.

    Windows of the same number belong together; a window without an error in any run is left out.

    Returns:
        Middle of each window as a frame number, and error, px, each of shape (windows,).
    """
    found: dict[int, list[tuple[float, float]]] = {}
    for run in group.runs:
        for row in material.ledger(run):
            if (error := row.get(material.window_error)) is not None:
                found.setdefault(row["window"], []).append(((row["first_frame"] + row["last_frame"]) / 2, error))
    means = np.array([np.mean(found[window], axis=0) for window in sorted(found)]).reshape(-1, 2)
    return means[:, 0], means[:, 1]


def shared_changes(material: Material, groups: list[Group]) -> list[int] | None:
    """Return the frames at which the clip changes, the first clip's aside; None if that differs between runs."""
    orders = {tuple(change_points(rows)) for group in groups for run in group.runs if (rows := material.ledger(run))}
    return [frame for _, frame in orders.pop()[1:]] if len(orders) == 1 else None


def error_against_rate(material: Material) -> Picture:
    """Draw the error against the share of frames that are labelled.

    Raises:
        NothingToDraw: if there are fewer than two rates.
    """
    groups = [group for group in material.online if material.estimate(group, material.error).n]
    rates = sorted({group.rate for group in groups if group.rate is not None})
    if len(rates) < 2:
        raise NothingToDraw(f"runs of two rates or more are needed; there {'is' if rates else 'are'} {len(rates)}")
    figure = new_figure()
    axes = figure.add_subplot()
    levels: dict[bool, list[float]] = {False: [], True: []}
    shown = series_of(groups)
    for series in shown:
        levels[series.is_reference] += bounds([material.estimate(group, material.error) for group in series.groups])
        if series.groups[0].rate is not None:
            x = [Estimate(group.rate or 0.0, 0.0, 1) for group in series.groups]
            y = [material.estimate(group, material.error) for group in series.groups]
            plot_series(axes, series.look, series.name, x, y, joined=True)
        elif level := level_of(material, series, material.error):
            draw_level(axes, series, level)
    axes.set_xscale("log")
    axes.set_xticks(rates)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{100 * rate:.4g} %"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    title = "Error against rate"
    axes.set(xlabel="share of frames labelled (logarithmic)", ylabel=error_title(material.error), title=title)
    aside = focus(axes, levels[False], levels[True])
    legend_below(figure, [series.name for series in shown])
    caption = (
        f"Mean over seeds with the {100 * material.confidence:g} % interval. A strategy earns its keep where its line "
        f"stays below that of {material.baseline} at the same rate; intervals that overlap do not settle it, the "
        "paired differences in the table are the fairer test. More labelled frames also mean more optimiser steps. "
        f"{material.lowest(groups, material.error)}"
    )
    return Picture("error_against_rate", title, caption.strip() + aside + left_out_note(groups), figure)
