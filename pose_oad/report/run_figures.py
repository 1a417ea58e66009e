"""Pictures of a run: the error over the stream, and a sheet of frames with truth, student and teacher drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pose_oad.poses.skeleton import Skeleton

if TYPE_CHECKING:
    from callbacks.sampler import Sample

# Colours that stay apart for colour-blind readers (Okabe and Ito), with a line style each for readers without colour.
TRUTH, STUDENT, TEACHER = ("#009E73", "-"), ("#D55E00", "--"), ("#0072B2", ":")


def error_curve(
    frame_ids: np.ndarray, errors: np.ndarray, rows: Sequence[dict[str, Any]], quantity: str, title: str
) -> Figure:
    """Draw the error over the stream.

    Args:
        frame_ids: stream numbers of the measured frames, shape (frames,)
        errors: their errors, px, shape (frames,); NaN where nothing counted
        rows: ledger rows, for change points, chosen frames and the error of the student that never adapts
        quantity: what the errors are, for the axis
        title: title of the figure

    Returns:
        Every frame's error faintly, the mean of each window, of the frozen student too where it was measured, a line
        where the clip changes, a tick for a chosen frame.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(frame_ids, errors, ".", markersize=2, color="0.75", label="a measured frame", rasterized=True)
    starts = np.array([row["first_frame"] for row in rows] + [rows[-1]["last_frame"] + 1])
    frozen = next((name for name in rows[0] if name.startswith("frozen_") and name.endswith("_px")), None)
    never = [] if frozen is None else [np.nan if row[frozen] is None else row[frozen] for row in rows]
    if never:
        axes.stairs(never, starts, baseline=None, color="0.35", linestyle="--", label="the same student, never adapted")
    means = [_mean_between(frame_ids, errors, a, b) for a, b in pairwise(starts)]
    axes.stairs(means, starts, baseline=None, color=STUDENT[0], linewidth=2, label="mean of each window")
    shown = np.array([*errors, *never], dtype=float)
    top = float(np.nanquantile(shown, 0.99)) * 1.1 if np.isfinite(shown).any() else 1.0
    axes.set_ylim(0, max(top, 1e-3))
    for name, frame in change_points(rows):
        axes.axvline(frame, color="0.5", linewidth=0.8, linestyle="--")
        label = axes.text(frame, axes.get_ylim()[1], f" {name}", rotation=90, va="top", fontsize=6, color="0.4")
        label.set_in_layout(False)  # a long name must not push the axes aside
    chosen = np.concatenate([np.asarray(row["selected_frames"], dtype=float) for row in rows])
    axes.plot(
        chosen, np.zeros(len(chosen)), "|", color=TEACHER[0], markersize=8, clip_on=False, label="frames labelled"
    )
    passed = [row for row in rows if not row.get("trigger/fired", 1.0)]
    if passed:
        first, last = ([row[end] for row in passed] for end in ("first_frame", "last_frame"))
        axes.hlines([0] * len(passed), first, last, color="0.4", linewidth=4, label="windows passed over")
    axes.set(xlabel="frame of the stream", ylabel=quantity, title=fill(title, 90), xlim=(starts[0], starts[-1]))
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _mean_between(frame_ids: np.ndarray, errors: np.ndarray, start: int, stop: int) -> float:
    inside = errors[(frame_ids >= start) & (frame_ids < stop)]
    inside = inside[~np.isnan(inside)]
    return float(inside.mean()) if len(inside) else float("nan")


def change_points(rows: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """List the clips of a stream with the frame each begins at."""
    points: list[tuple[str, int]] = []
    for row in rows:
        for clip in row["clips"]:
            if not points or points[-1][0] != clip["name"]:
                points.append((clip["name"], clip["first_frame"]))
    return points


def frame_sheet(samples: Sequence[Sample], skeleton: Skeleton, columns: int = 4) -> Figure:
    """Draw frames with the keypoints of truth, student and teacher over them, so many frames per row."""
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(3 * columns, 3.25 * rows + 0.4), layout="constrained")
    for number, sample in enumerate(samples, start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(sample.image, interpolation="bilinear")
        for keypoints, (color, style), name in (
            (sample.truth, TRUTH, "truth"), (sample.teacher, TEACHER, "teacher"), (sample.student, STUDENT, "student"),
        ):  # fmt: skip
            if keypoints is not None:
                draw_skeleton(axes, keypoints, skeleton, color, style, name)
        axes.set_title(f"{fill(sample.clip, 44)}\nframe {sample.frame_id}", fontsize=7)
        axes.set(xlim=(0, sample.image.shape[1]), ylim=(sample.image.shape[0], 0))
        axes.axis("off")
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        handles |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def draw_skeleton(
    axes: Axes, keypoints: Tensor, skeleton: Skeleton, color: str, style: str, label: str | None = None
) -> None:
    """Draw one person's limbs and joints, px of the picture, shape (joints, 3); those of confidence 0 are left out."""
    x, y, confidence = keypoints.numpy().T
    for a, b in skeleton.limbs:
        if confidence[a] > 0 and confidence[b] > 0:
            # Continuous px: the first pixel's centre is at 0.5, imshow draws it at 0.
            axes.plot(x[[a, b]] - 0.5, y[[a, b]] - 0.5, color=color, linestyle=style, linewidth=1.6, label=label)
            label = None
    found = confidence > 0
    axes.plot(x[found] - 0.5, y[found] - 0.5, "o", color=color, markersize=2.5)
