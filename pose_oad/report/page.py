"""One HTML page that needs nothing but itself: what was run, tables, figures, how it was computed."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pose_oad.report.effects import verdicts
from pose_oad.report.layout import Table
from pose_oad.report.material import Material
from pose_oad.report.pictures import Picture
from pose_oad.report.store import RunData, Selection


def write_page(
    path: Path,
    title: str,
    selection: Selection,
    material: Material,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    skipped: Sequence[str],
) -> None:
    """Write the page; the figures' SVG files lie in ``figures/`` beside it and are copied into it."""
    html = (
        templates()
        .get_template("page.html.j2")
        .render(
            title=title,
            verdicts=verdicts(material),
            facts=facts(selection, material),
            tables=tables,
            pictures=[(picture, _inline(path.parent / "figures" / f"{picture.name}.svg")) for picture in pictures],
            skipped=skipped,
            caveats=caveats(selection, material),
        )
    )
    path.write_text(html, encoding="utf-8")


def templates() -> Environment:
    """Return the templates of pages."""
    return Environment(
        loader=PackageLoader("pose_oad.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def facts(selection: Selection, material: Material) -> list[tuple[str, str]]:
    """Say what was run, when, where and from which state of the code, in pairs of a name and a value."""
    runs = selection.runs
    seeds = {run.seed for run in runs}
    streams = sorted({run.stream for run in runs} - {""})
    counts = [
        (len(selection.of_kind(kind)), name) for kind, name in (("online", "online"), ("finetune", "fine-tuning"))
    ]
    ends = [run.ended for run in runs if run.ended is not None]
    question = selection.parent.tags.get("mlflow.note.content", "") if selection.parent else ""
    return [
        *([("question", question)] if question else []),
        ("studies", _listed(sorted({run.study or "single runs" for run in runs}))),
        ("runs", ", ".join(f"{count} {name}" for count, name in counts if count)),
        *([("played twice", material.superseded_text())] if material.superseded else []),
        ("left out", selection.left_out_text()),
        ("seeds", f"{len(seeds)} ({_listed(sorted(seeds))})"),
        ("from – to", f"{_minute(min(run.started for run in runs))} – {_minute(max(ends)) if ends else '–'}"),
        ("code", _listed(sorted({_commit(run) for run in runs}))),
        ("machines", _listed(sorted({run.tags.get("machine", "not recorded") for run in runs}))),
        ("students", _values(runs, "student.name")),
        ("teachers", _values(runs, "teacher._target_")),
        ("streams", f"{len(streams)} ({_listed(streams, 12)})" if streams else _values(runs, "stream._target_")),
        ("report written", _minute(datetime.now())),
    ]


def caveats(selection: Selection, material: Material) -> list[str]:
    """Say how the numbers were computed and what they do not show."""
    rules = _values(selection.runs, "metric.undetected_joints")
    reach = (
        "Seeds are averaged within a stream first. Streams of one subject or one camera count as independent."
        if material.unit == "streams"
        else "They say how much a result moves when the seeds change, not how it would move on another stream, camera "
        "or person."
    )
    return [
        f"Intervals are {100 * material.confidence:g} % intervals of Student's t distribution over {material.unit}. "
        f"{reach}",
        f"The paired test takes differences on the same {material.unit.removesuffix('s')} to be normal, which a "
        "handful of them cannot confirm. Holm's method counts the comparisons of one table, not those of the page.",
        f"Joints that are not found: metric.undetected_joints is {rules}. With argmax every labelled joint counts; "
        "with zero or drop an error can fall because less is detected.",
        "Every frame is predicted before any training that could have seen it. Errors are means over all frames of the "
        "stream, those before the first training included.",
        "Teacher calls are frames that the teacher was asked about, for selection or for training; labels made only to "
        "measure the error are counted apart. Wall clock leaves out measuring: these labels, errors, retention.",
        "Wall clock and seconds depend on the machine and on what else it did.",
        "Runs that did not finish are left out. Of runs that agree in label, parameters, checkpoint and seeds the "
        "newest counts, and the others are named at the top of the page.",
    ]


def _commit(run: RunData) -> str:
    commit = run.tags.get("mlflow.source.git.commit", "")[:10] or "not recorded"
    return f"{commit} with changes" if run.tags.get("git.dirty") == "True" else commit


def _values(runs: Sequence[RunData], key: str) -> str:
    return _listed(sorted({run.params.get(key, "–").rpartition(".")[2] for run in runs}))


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _inline(path: Path) -> str:
    """Return an SVG file as a data URI: shown as an image, it brings no identifiers or scripts into the page."""
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def to_json(selection: Selection, material: Material, config: dict[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """Describe a report, with the paths of its files, in plain values, so that it can be made again."""
    counted = [run.run_id for group in (*material.online, *material.offline) for run in group.runs]
    return {
        "config": config,
        "runs": counted,
        "left_out": dict(selection.left_out) | {"superseded": len(material.superseded)},
        "superseded": {old.run_id: new.run_id for old, new in material.superseded},
        "files": sorted(files),
    }
