"""Error by joint, and which frames were chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.report.material import Material, error_title
from pose_oad.report.pictures import NothingToDraw, Picture, Series, at_one_rate, series_of
from pose_oad.report.run_figures import change_points
from pose_oad.report.style import legend_below, new_figure, plain_numbers

#: More bars than this at one joint cannot be told apart.
_MOST_BARS = 6


def error_by_joint(material: Material) -> Picture:
    """Draw the error of every joint as bars, at the rate that most labels have.

    Raises:
        NothingToDraw: if no run has its error by joint.
    """
    groups, at_rate = at_one_rate(material.online)
    prefix = f"final/{material.window_error}/"
    recorded = {
        name.removeprefix(prefix) for g in groups for run in g.runs for name in run.metrics if name.startswith(prefix)
    }
    # In the skeleton's order, shoulders to ankles; joints that it has not come last.
    usual = get_skeleton("body-12").joints
    joints = [*(joint for joint in usual if joint in recorded), *sorted(recorded.difference(usual))]
    if not joints:
        raise NothingToDraw(f"no run has {material.window_error} by joint")
    every = [s for s in series_of(groups) if material.estimate(s.groups[0], f"{material.window_error}/{joints[0]}").n]
    shown = every[:_MOST_BARS]
    figure = new_figure(height=4.2, width=9.0)
    axes = figure.add_subplot()
    width = 0.8 / len(shown)
    for number, series in enumerate(shown):
        found = [material.estimate(series.groups[0], f"{material.window_error}/{joint}") for joint in joints]
        axes.bar(
            np.arange(len(joints)) + (number - (len(shown) - 1) / 2) * width,
            [e.mean for e in found],
            width,
            yerr=np.nan_to_num([e.half_width for e in found]),
            error_kw={"elinewidth": 0.7},
            label=series.name,
            color=series.look.color,
            edgecolor="white",
            linewidth=0.4,
            hatch=series.look.hatch,
        )
    axes.set_xticks(range(len(joints)), [joint.replace("_", "\n") for joint in joints])
    axes.grid(visible=False, axis="x")
    title = f"Error by joint{at_rate}"
    axes.set(ylabel=error_title(material.window_error), title=title)
    legend_below(figure, [series.name for series in shown])
    cut = f" {_MOST_BARS} of {len(every)} labels are shown." if len(every) > _MOST_BARS else ""
    caption = (
        f"Means over seeds with the {100 * material.confidence:g} % interval. Joints far from the trunk move most and "
        f"are hardest to find: see whether a strategy gains there or only where the error was small anyway.{cut}"
    )
    return Picture("error_by_joint", title, caption, figure)


def selection_strip(material: Material) -> Picture:
    """Draw which frames each label chose in the runs of one seed, at the rate that most labels have.

    Raises:
        NothingToDraw: if no ledger names chosen frames.
    """
    groups, at_rate = at_one_rate(material.online)
    seeds = [run.seed for group in groups for run in group.runs]
    if not seeds:
        raise NothingToDraw("there are no online runs")
    seed = min(set(seeds), key=lambda s: (-seeds.count(s), s))
    rows = [(series, _ledger_of(material, series, seed)) for series in series_of(groups)]
    rows = [(series, ledger) for series, ledger in rows if any(row["selected_frames"] for row in ledger)]
    if not rows:
        raise NothingToDraw("no ledger names chosen frames")
    figure = new_figure(height=1.5 + 0.34 * len(rows), width=9.0)
    axes = figure.add_subplot()
    for y, (series, ledger) in enumerate(rows):
        chosen = np.concatenate([np.asarray(row["selected_frames"], dtype=float) for row in ledger])
        # Thousands of ticks are pixels in the SVG, not shapes.
        axes.eventplot(
            chosen,
            lineoffsets=y,
            linelengths=0.7,
            linewidths=0.6,
            color=series.look.color,
            rasterized=len(chosen) > 300,
        )
    bounds = {tuple(row["first_frame"] for row in ledger) for _, ledger in rows}
    changes = {tuple(frame for _, frame in change_points(ledger)[1:]) for _, ledger in rows}
    same = len(bounds) == 1 and len(changes) == 1
    if same:
        axes.vlines(bounds.pop(), -0.5, len(rows) - 0.5, color="0.85", linewidth=0.6, zorder=0)
        axes.vlines(changes.pop(), -0.5, len(rows) - 0.5, color="0.45", linewidth=0.6, linestyle=(0, (4, 2)), zorder=0)
    axes.set_yticks(range(len(rows)), [series.name for series, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    last = max(ledger[-1]["last_frame"] for _, ledger in rows)
    axes.set_xlim(-0.005 * last, 1.005 * last)
    plain_numbers(axes, logarithmic=False)
    title = f"Frames chosen{at_rate}, seed {seed}"
    axes.set(xlabel="frame of the stream", title=title)
    lines = " Light lines: windows; dashed lines: changes of clip." if same else ""
    caption = (
        "A tick per labelled frame. Ticks that merge into bars are neighbours in time, nearly the same picture several "
        f"times over; gaps are stretches of the stream that the student is never taught.{lines}"
    )
    return Picture("selection", title, caption, figure)


def _ledger_of(material: Material, series: Series, seed: str) -> list[dict[str, Any]]:
    runs = [run for run in series.groups[0].runs if run.seed == seed]
    return material.ledger(runs[0]) if runs else []
