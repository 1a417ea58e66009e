"""The figures of what happened in the runs: error over the stream, error by joint, and which frames were chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.container import BarContainer

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.report.groups import Group
from pose_oad.report.material import Material, error_title
from pose_oad.report.pictures import NothingToDraw, Picture, at_one_rate, focus, left_out_note, series_of
from pose_oad.report.run_figures import change_points
from pose_oad.report.style import new_axes, plain_numbers

#: More bars than this at one joint cannot be told apart.
_MOST_BARS = 6


def error_over_stream(material: Material) -> Picture:
    """Draw the error of every window, the mean over runs, a line per label at the rate that most labels have."""
    groups, at_rate = at_one_rate(material.online)
    shown = series_of(groups)
    curves = [(series, window_errors(material, series.groups[0])) for series in shown]
    curves = [(series, curve) for series, curve in curves if len(curve)]
    if not curves:
        raise NothingToDraw(f"no ledger has windows with {material.window_error}")
    axes = new_axes()
    levels: dict[bool, list[float]] = {False: [], True: []}
    for number, (series, curve) in enumerate(curves, start=1):
        levels[series.is_reference] += curve.tolist()
        style = series.look.curve | ({"linewidth": 1.1} if series.is_reference else {})
        every = max(1, len(curve) // 12)
        axes.plot(curve.index, curve, label=series.name, markevery=(number % every, every), **style)
    drawn = [series.groups[0] for series, _ in curves]
    changes = shared_changes(material, drawn)
    for frame in changes or ():
        axes.axvline(frame, color="0.8", linewidth=0.7, zorder=0)
    title = f"Error over the stream{at_rate}"
    axes.set(xlabel="frame of the stream", ylabel=error_title(material.window_error), title=title)
    axes.margins(x=0.01)
    plain_numbers(axes, logarithmic=False)
    aside = focus(axes, levels[False], levels[True])
    if changes is None:
        marks = "Clips come in another order in each run, so that their changes are not marked."
    else:
        marks = "Thin vertical lines: changes of clip." if changes else ""
    caption = (
        "Every window is predicted before anything in it is trained on; each point is the mean over the frames of a "
        f"window and over {material.unit}{_without_ledger(material, drawn)}. A line that falls below that of "
        f"the student never adapted has learned. {marks}"
    )
    return Picture.of("error_over_stream", axes, shown, caption.strip() + aside + left_out_note(groups))


def _without_ledger(material: Material, groups: Sequence[Group]) -> str:
    runs = [run for group in groups for run in group.runs]
    missing = sum(not material.ledger(run) for run in runs)
    return f" ({missing} of {len(runs)} runs have no ledger and take no part)" if missing else ""


def window_errors(material: Material, group: Group) -> pd.Series:
    """Return the mean over a group's runs of the error of each window, px, by its middle as a frame number.

    Windows of the same number belong together; a window without an error in any run is left out.
    """
    rows = pd.DataFrame([row for run in group.runs for row in material.ledger(run)])
    rows = rows.reindex(columns=["window", "first_frame", "last_frame", material.window_error])
    rows["frame"] = (rows["first_frame"] + rows["last_frame"]) / 2
    means = rows.dropna(subset=material.window_error).groupby("window")[["frame", material.window_error]].mean()
    return means.set_index("frame")[material.window_error].astype(float)


def shared_changes(material: Material, groups: Sequence[Group]) -> list[int] | None:
    """Return the frames at which the clip changes, the first clip's aside; None if that differs between runs."""
    orders = {tuple(change_points(rows)) for group in groups for run in group.runs if (rows := material.ledger(run))}
    return [frame for _, frame in orders.pop()[1:]] if len(orders) == 1 else None


def error_by_joint(material: Material) -> Picture:
    """Draw the error of every joint as bars, at the rate that most labels have."""
    groups, at_rate = at_one_rate(material.online)
    recorded = material.metrics_below(groups, f"{material.window_error}/")
    # In the skeleton's order, shoulders to ankles; joints that it has not come last.
    usual = get_skeleton("body-12").joints
    joints = [*(joint for joint in usual if joint in recorded), *sorted(recorded.difference(usual))]
    if not joints:
        raise NothingToDraw(f"no run has {material.window_error} by joint")
    every = [s for s in series_of(groups) if material.estimate(s.groups[0], f"{material.window_error}/{joints[0]}").n]
    shown = every[:_MOST_BARS]
    found = {
        s.name: [material.estimate(s.groups[0], f"{material.window_error}/{joint}") for joint in joints] for s in shown
    }
    axes = new_axes(height=4.2, width=9.0)
    pd.DataFrame({name: [e.mean for e in bars] for name, bars in found.items()}).plot.bar(
        ax=axes,
        yerr=pd.DataFrame({name: np.nan_to_num([e.half_width for e in bars]) for name, bars in found.items()}),
        error_kw={"elinewidth": 0.7},
        color=[series.look.color for series in shown],
        edgecolor="white",
        linewidth=0.4,
        width=0.8,
        rot=0,
        legend=False,
    )
    for bars, series in zip((c for c in axes.containers if isinstance(c, BarContainer)), shown, strict=True):
        for bar in bars:
            bar.set_hatch(series.look.hatch)
    axes.set_xticks(range(len(joints)), [joint.replace("_", "\n") for joint in joints])
    axes.grid(visible=False, axis="x")
    axes.set(ylabel=error_title(material.window_error), title=f"Error by joint{at_rate}")
    cut = f" {_MOST_BARS} of {len(every)} labels are shown." if len(every) > _MOST_BARS else ""
    caption = (
        f"Means over {material.unit} with the {100 * material.confidence:g} % interval. Joints far from the trunk move "
        f"most and are hardest to find: see whether a strategy gains there or only where the error was small anyway."
        f"{cut}"
    )
    return Picture.of("error_by_joint", axes, shown, caption)


def selection_strip(material: Material) -> Picture:
    """Draw which frames each label chose on one stream with one seed, at the rate that most labels have."""
    groups, at_rate = at_one_rate(material.online)
    played = [run.repetition for group in groups for run in group.runs]
    if not played:
        raise NothingToDraw("there are no online runs")
    shown = min(set(played), key=lambda name: (-played.count(name), name))
    rows = [
        (series, material.ledger(run))
        for series in series_of(groups)
        for run in series.groups[0].runs
        if run.repetition == shown
    ]
    rows = [(series, ledger) for series, ledger in rows if any(row["selected_frames"] for row in ledger)]
    if not rows:
        raise NothingToDraw("no ledger names chosen frames")
    axes = new_axes(height=1.5 + 0.34 * len(rows), width=9.0)
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
    axes.set(xlabel="frame of the stream", title=f"Frames chosen{at_rate}, {shown}")
    lines = " Light lines: windows; dashed lines: changes of clip." if same else ""
    caption = (
        "A tick per labelled frame. Ticks that merge into bars are neighbours in time, nearly the same picture several "
        f"times over; gaps are stretches of the stream that the student is never taught.{lines}"
    )
    return Picture.of("selection", axes, (), caption)
