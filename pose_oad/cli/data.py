"""Make data: the embedded world, or Human3.6M as you own it, examined and prepared for streaming.

source=synthetic makes a synthetic world in the formats of COCO keypoints and Human3.6M, with a contact sheet. Running
it again with the same parameters does nothing; other parameters need another root or overwrite=true.

source=human36m root=<folder> examines a Human3.6M tree (as downloaded, its archives, or what h36m-fetch made of it) and
prepares it: poses, cameras and, on request, frames at the student's size in HDF5 files. Running it again makes only
what is missing or changed.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from datamodules.human36m.doctor import Selection
from datamodules.human36m.prepare import PrepareOptions, StepProgress, examine_folder, prepare_folder, write_report
from datamodules.synthetic.generate import World, generate
from pose_oad.cli.command import check_keys, plain
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.schema import Number, Text, build_options, check_values

log = logging.getLogger(__name__)

_SYNTHETIC_ROOT = "data/synthetic"
#: Keys of ``conf/data.yaml`` that are no parameters of the synthetic world.
_SHARED = ("source", "root", "workers", "overwrite", "human36m")


def main(cfg: DictConfig) -> Path:
    """Make what ``conf/data.yaml`` describes, unless it is there; return the folder that holds it.

    Raises:
        UserError: for a value that is not accepted, or a folder that cannot be used.
    """
    check_keys(cfg, {
        "source": Literal["synthetic", "human36m"], "workers": Number, "overwrite": bool, "root": Text | int | None,
        "cameras": list[str | int], "human36m.out": Text, "human36m.report": Text, "human36m.check_only": bool,
        "human36m.findings": Number, "human36m.metadata": Text | None,
    })  # fmt: skip
    return make_synthetic(cfg) if cfg.source == "synthetic" else make_human36m(cfg)


def make_synthetic(cfg: DictConfig) -> Path:
    """Make the synthetic world, unless it is there; arguments and errors as :func:`main`."""
    values = {key: value for key, value in plain(cfg).items() if key not in _SHARED}
    if isinstance(values["cameras"], list):  # Hydra reads bare numbers as integers
        values["cameras"] = [str(camera) for camera in values["cameras"]]
    world = build_options(World, values)
    root, overwrite = Path(str(cfg.root or _SYNTHETIC_ROOT)), cfg.overwrite
    started = time.monotonic()
    try:
        with _progress() as advance:
            made = generate(world, root, cfg.workers, overwrite, partial(advance, "synthetic world"))
    except OSError as error:
        raise UserError(f"root={root}: cannot be written ({error})") from error
    if made:
        log.info("made %s in %.0f s; look at %s", root, time.monotonic() - started, root / "contact_sheet.png")
    else:
        log.info("%s is already there", root)
    return root


def make_human36m(cfg: DictConfig) -> Path:
    """Examine a Human3.6M tree and prepare it; arguments and errors as :func:`main`."""
    node, options = cfg.human36m, _human36m_options(cfg)
    console, report_file, started = Console(stderr=True), Path(str(node.report)), time.monotonic()
    with _progress() as advance:
        report = examine_folder(options, advance)
    write_report(report_file, report)
    console.print(report.table())
    if report.findings and node.findings:
        console.print(report.details(node.findings))
    if not report.usable:
        reasons = [finding for finding in report.findings if finding.kind == "damaged"] or report.findings
        why = f" ({reasons[0].where}: {reasons[0].what})" if reasons else ""
        raise UserError(f"root={options.root}: nothing usable of {', '.join(options.selection.subjects)}{why}")
    if node.check_only:
        log.info("%d of %d recordings usable; %s", len(report.usable), len(report.examined), report_file)
        return options.root
    known = len(report.general)
    with _progress() as advance:
        made = prepare_folder(options, report, advance)
    write_report(report_file, report)
    for finding in report.general[known:]:
        log.warning("%s: %s: %s", finding.kind, finding.where, finding.what)
    log.info(
        "%d recordings made, %d were there, in %.0f s; stream=human36m stream.root=%s",
        made, len(report.usable) - made, time.monotonic() - started, options.out,
    )  # fmt: skip
    return options.out


def _human36m_options(cfg: DictConfig) -> PrepareOptions:
    node, there = plain(cfg.human36m), bool(cfg.root) and Path(str(cfg.root)).is_dir()
    check(there, "root", cfg.root, "the folder of Human3.6M: archives or tree")
    choices = {key: node[key] for key in ("subjects", "cameras", "actions", "skip")}
    return PrepareOptions(
        root=Path(str(cfg.root)),
        out=Path(node["out"]),
        selection=build_options(Selection, choices, "human36m"),
        metadata=None if node["metadata"] is None else Path(node["metadata"]),
        workers=cfg.workers,
        **check_values(PrepareOptions, node["frames"], "human36m.frames", ("root", "out", "selection")),
    )


@contextmanager
def _progress() -> Iterator[StepProgress]:
    """Show how far each step of the work is, where somebody watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:

        def advance(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=None)
            bar.update(tasks[step], completed=done, total=total)

        yield advance
