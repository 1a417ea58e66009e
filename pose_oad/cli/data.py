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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from pose_oad.tracking.errors import UserError, check, nearest

if TYPE_CHECKING:
    from datamodules.human36m.prepare import PrepareOptions, StepProgress

log = logging.getLogger(__name__)

SOURCES = ("synthetic", "human36m")
_SYNTHETIC_ROOT = "data/synthetic"
#: Keys of ``conf/data.yaml`` that are no parameters of the synthetic world.
_SHARED = ("source", "root", "workers", "overwrite", "human36m")


def main(cfg: DictConfig) -> Path:
    """Make what the configuration describes, unless it is there.

    Args:
        cfg: see ``conf/data.yaml``

    Returns:
        The folder that holds it.

    Raises:
        UserError: for a value that is not accepted, or a folder that cannot be used.
    """
    check(cfg.source in SOURCES, "source", cfg.source, f"one of {', '.join(SOURCES)}")
    workers = cfg.workers
    check(isinstance(workers, int) and workers >= 0, "workers", workers, "a whole number of processes, or 0")
    return make_synthetic(cfg) if cfg.source == "synthetic" else make_human36m(cfg)


def make_synthetic(cfg: DictConfig) -> Path:
    """Make the synthetic world, unless it is there; arguments and errors as :func:`main`."""
    from datamodules.synthetic.generate import World, generate
    from pose_oad.tracking.schema import build_options

    values: dict[str, Any] = {str(key): cfg[key] for key in cfg if key not in _SHARED}
    cameras = values.pop("cameras")
    check(isinstance(cameras, ListConfig), "cameras", cameras, "a list of camera numbers")
    world = build_options(World, values, cameras=tuple(str(camera) for camera in cameras))
    root, overwrite = Path(str(cfg.root or _SYNTHETIC_ROOT)), cfg.overwrite
    check(isinstance(overwrite, bool), "overwrite", overwrite, "true or false")
    started = time.monotonic()
    try:
        with _progress() as advance:
            made = generate(
                world, root, cfg.workers, overwrite, lambda done, total: advance("synthetic world", done, total)
            )
    except OSError as error:
        raise UserError(f"root={root}: cannot be written ({error})") from error
    if made:
        log.info("made %s in %.0f s; look at %s", root, time.monotonic() - started, root / "contact_sheet.png")
    else:
        log.info("%s is already there", root)
    return root


def make_human36m(cfg: DictConfig) -> Path:
    """Examine a Human3.6M tree and prepare it; arguments and errors as :func:`main`.

    Raises:
        UserError: if nothing of it can be used, too.
    """
    from rich.console import Console

    from datamodules.human36m.prepare import examine_folder, prepare_folder, write_report

    node, options = cfg.human36m, _human36m_options(cfg)
    check(isinstance(node.check_only, bool), "human36m.check_only", node.check_only, "true or false")
    most = node.findings
    check(isinstance(most, int) and most >= 0, "human36m.findings", most, "a whole number, 0 or more")
    console, report_file, started = Console(stderr=True), Path(str(node.report)), time.monotonic()
    with _progress() as advance:
        report = examine_folder(options, advance)
    write_report(report_file, report)
    console.print(report.table())
    if report.findings and most:
        console.print(report.details(most))
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
    from datamodules.human36m.doctor import Selection
    from datamodules.human36m.names import ACTIONS, CAMERAS, SUBJECTS
    from datamodules.human36m.prepare import PrepareOptions
    from pose_oad.poses.geometry import FITS

    node = cfg.human36m
    check(bool(cfg.root), "root", cfg.root, "the folder of Human3.6M: its archives or its tree")
    for key in ("out", "report"):
        check(bool(node[key]), f"human36m.{key}", node[key], "a place to write to")
    root = Path(str(cfg.root))
    check(root.is_dir(), "root", root, "an existing folder")
    actions = None if node.actions is None else _names(node.actions, "human36m.actions", ACTIONS)
    selection = Selection(
        _names(node.subjects, "human36m.subjects", SUBJECTS),
        _names(node.cameras, "human36m.cameras", CAMERAS),
        actions,
        _names(node.skip, "human36m.skip", None),
    )
    size = node.frames.size
    whole = isinstance(size, ListConfig) and len(size) == 2 and all(isinstance(n, int) and 8 <= n <= 4096 for n in size)
    check(size is None or whole, "human36m.frames.size", size, "width and height in px, as [256,256], or null")
    check(node.frames.fit in FITS, "human36m.frames.fit", node.frames.fit, f"one of {', '.join(FITS)}")
    known = node.frames.compression in (None, "lzf")
    check(known, "human36m.frames.compression", node.frames.compression, "null or lzf")
    return PrepareOptions(
        root=root,
        out=Path(str(node.out)),
        selection=selection,
        size=None if size is None else (int(size[0]), int(size[1])),
        fit=node.frames.fit,
        compression=node.frames.compression,
        metadata=None if node.metadata is None else Path(str(node.metadata)),
        workers=cfg.workers,
    )


def _names(values: Any, key: str, known: tuple[str, ...] | None) -> tuple[str, ...]:
    """Read a list of names, each of which must be known unless ``known`` is None."""
    check(isinstance(values, ListConfig), key, values, "a list of names")
    names = tuple(dict.fromkeys(str(value) for value in values))
    for name in names if known is not None else ():
        if name not in (known or ()):
            raise UserError(f"{key}={name}: no such name in Human3.6M{nearest(name, known or ())}")
    check(bool(names) or known is None, key, values, "at least one name")
    return names


@contextmanager
def _progress() -> Iterator[StepProgress]:
    """Show how far each step of the work is, where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:

        def advance(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=None)
            bar.update(tasks[step], completed=done, total=total)

        yield advance
