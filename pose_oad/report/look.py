"""One HTML page of a run: the verdict, its time line, frames with teacher and student drawn, the joints."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pose_oad.poses.skeleton import Skeleton
from pose_oad.report.page import templates
from pose_oad.students import PoseStudent

if TYPE_CHECKING:
    from callbacks.gallery import Gallery, Shot


class Students(NamedTuple):
    """Who is compared: the student before the stream, the student behind it, and whether several people are sought."""

    before: PoseStudent
    after: PoseStudent
    several: bool


def write_look(
    path: Path,
    title: str,
    verdict: str,
    summary: Mapping[str, float],
    curve: Figure,
    gallery: Gallery,
    students: Students,
    against: str,
) -> None:
    """Write the page, which needs nothing but itself.

    Args:
        path: the file
        title: its headline
        verdict: what adapting has done; empty where nobody knows
        summary: the run's figures by logged name
        curve: the error over the stream
        gallery: the frames
        students: who is compared on them
        against: whom errors are measured against, ``truth`` or ``teacher``
    """
    svg, skeleton = io.BytesIO(), students.after.skeleton
    curve.savefig(svg, format="svg")
    path.write_text(templates().get_template("look.html.j2").render(
        title=title,
        verdict=verdict,
        facts=_facts(summary),
        curve=_uri("image/svg+xml", svg.getvalue()),
        sections=[section for section in _sections(gallery, students) if section["shots"]],
        reference="the teacher" if against == "teacher" else "teacher or truth",
        columns=("never adapted", "adapting", "gain"),
        joints=_joints(summary, skeleton, "mpjpe" if against == "truth" else "teacher_distance"),
    ), encoding="utf-8")  # fmt: skip


def _facts(summary: Mapping[str, float]) -> list[tuple[str, str]]:
    """Say in pairs of a name and a value how much of everything there was."""
    frames, labels = summary["frames"], summary["selected"]
    return [
        ("frames labelled", f"{labels:,.0f} of {frames:,.0f} ({labels / max(1, frames):.1%})"),
        ("teacher calls", f"{summary['teacher_calls']:,.0f}, {summary['evaluation_teacher_calls']:,.0f} to measure"),
        ("teacher found nobody", f"{summary.get('frames_without_person', 0):,.0f} times"),
        ("optimiser steps", f"{summary['optimizer_steps']:,.0f}"),
        ("wall clock, without measuring", f"{summary['wall_clock_s']:.0f} s"),
    ]


def _sections(gallery: Gallery, students: Students) -> list[dict[str, Any]]:
    pairs = {"pairs": True, "before": "never adapted", "after": "at the end of the stream"}
    chosen = [
        _shown(shot, students.after.skeleton, caption=_why(shot), student=[shot.student])
        for shot in gallery.chosen.kept
    ]
    ranked = any(not math.isnan(shot.rank) for shot in gallery.chosen.kept)
    why = (
        "The score is the strategy's; beside it, the share of its window's frames that scored less."
        if ranked else "Chosen without a score: by their place in the window, or by chance."
    )  # fmt: skip
    return [
        {"name": "pairs", "title": "Before and after", "shots": _paired(gallery.measured.kept, students), **pairs,
         "note": "Measured frames from all over the stream. Those that were labelled, and their neighbours, the "
         "student has trained on."},
        {"name": "chosen", "title": "Frames that were labelled", "shots": chosen, "pairs": False,
         "note": f"The student is drawn as it was before training on them. {why}"},
        {"name": "worst", "title": "Worst frames", "shots": _paired(gallery.worst, students), **pairs,
         "note": "The largest errors when they were measured, one of a window at most."},
    ]  # fmt: skip


def _why(shot: Shot) -> str:
    scored = "" if math.isnan(shot.score) else f": score {shot.score:.3g}, above {shot.rank:.0%} of its window"
    return f"{shot.clip}, frame {shot.frame_id}{scored}"


def _paired(shots: Sequence[Shot], students: Students) -> list[dict[str, Any]]:
    """Let both students look at frames."""
    if not shots:
        return []
    frames = torch.from_numpy(np.stack([shot.image for shot in shots]))
    seen = [_look(student, frames, students.several) for student in (students.before, students.after)]
    return [
        _shown(
            shot, students.after.skeleton, before=before, after=after,
            caption=f"{shot.clip}, frame {shot.frame_id}: {shot.error:.0f} px off when it was measured",
        )
        for shot, before, after in zip(shots, *seen, strict=True)
    ]  # fmt: skip


def _look(student: PoseStudent, frames: Tensor, several: bool) -> list[Tensor]:
    """Return the people in each frame, input px, shape (people, joints, 3)."""
    poses = student.keypoints(frames, torch.full((len(frames),), several))
    return list(poses.people.keypoints if several else poses.single[:, None])


def _shown(shot: Shot, skeleton: Skeleton, caption: str, **people: Sequence[Tensor] | Tensor) -> dict[str, Any]:
    """Describe a frame in plain values, with people by role."""
    height, width = shot.image.shape[:2]
    radius = width / 75
    return {
        "frame_id": shot.frame_id, "caption": caption, "width": width, "height": height,
        "image": _uri("image/jpeg", shot.jpeg.numpy().tobytes()),
        **{role: [_drawn(person, skeleton, radius) for person in found]
           for role, found in {"reference": shot.reference, **people}.items()},
    }  # fmt: skip


def _drawn(person: Tensor, skeleton: Skeleton, radius: float) -> dict[str, Any]:
    """Return the ends of a person's limbs and its joints, px."""
    at, found = person[:, :2].double().numpy().round(1), (person[:, 2] > 0).tolist()
    limbs = [[*at[a], *at[b]] for a, b in skeleton.limbs if found[a] and found[b]]
    return {"limbs": limbs, "joints": at[found], "radius": round(radius, 2)}


def _joints(summary: Mapping[str, float], skeleton: Skeleton, prefix: str) -> list[tuple[str, list[str]]]:
    """Tabulate the mean error of every joint and of all, px, largest first."""
    rows = []
    for joint in ("", *skeleton.joints):
        name = f"{prefix}_px/{joint}" if joint else f"{prefix}_px"
        frozen, adapting = (summary.get(of + name, math.nan) for of in ("frozen_", ""))
        rows.append((joint.replace("_", " ") or "all", [frozen, adapting, frozen - adapting]))
    rows[1:] = sorted(rows[1:], key=lambda row: -row[1][1] if row[1][1] == row[1][1] else math.inf)
    return [(joint, ["–" if math.isnan(value) else f"{value:.1f}" for value in values]) for joint, values in rows]


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
