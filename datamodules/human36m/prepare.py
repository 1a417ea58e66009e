"""Make a prepared folder: unpack, examine, decode, write the manifest last.

A file of the folder appears when it is whole, and the manifest when all files are there; while files are made, there is
none. A second run makes only what is missing, or whose originals or options have changed.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from datamodules.human36m.archives import find_archives, unpack
from datamodules.human36m.cache_file import VERSION, write_cache_file
from datamodules.human36m.cameras import CameraParameters, estimate_camera, read_metadata
from datamodules.human36m.doctor import Selection, examine_tree
from datamodules.human36m.fetch import FetchTree
from datamodules.human36m.findings import Examination, Finding, Report
from datamodules.human36m.prepared import MANIFEST, PreparedRecording, made_from, read_entry, write_manifest
from datamodules.human36m.processes import in_processes
from datamodules.human36m.tree import RawTree
from pose_oad.poses.geometry import FrameResize, ResizeMode
from pose_oad.tracking.errors import UnwritableError, UserError
from pose_oad.tracking.files import replacing, writing
from pose_oad.tracking.locks import holding

log = logging.getLogger(__name__)

_UNPACKED = "unpacked"
# Bytes of a frame's poses: 32 joints, (2 + 3 + 3) coordinates of 4 bytes, and its number and time.
_POSE_BYTES = 32 * 8 * 4 + 24
_MARGIN = 1.02

_Side = Annotated[int, Field(ge=8, le=4096)]

#: Told what is being done, how far it is and of how much.
StepProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PrepareOptions:
    """What to make."""

    root: Path  #: folder of the originals
    out: Path  #: folder to prepare
    selection: Selection  #: which recordings
    #: width and height of the network input for which to keep frames, px; None keeps none
    size: tuple[_Side, _Side] | None = None
    resize_mode: ResizeMode = "letterbox"  #: how a frame lies in that input
    compression: Literal["lzf"] | None = None  #: of the frames: None or ``lzf``
    metadata: Path | None = None  #: the release's ``metadata.xml``; None takes the one in ``root``, if it is there
    workers: int = 0  #: processes; 0 works in this one


@dataclass(frozen=True)
class _Job:
    """One file to make: of what, where, and from what it is made."""

    examination: Examination
    path: Path
    size: tuple[int, int] | None
    compression: str | None
    camera: CameraParameters | None
    made_from: dict[str, Any]


def examine_folder(options: PrepareOptions, progress: StepProgress) -> Report:
    """Unpack the archives in a folder, and look at every file of what is asked for.

    Raises:
        UserError: if the folder holds neither a tree nor archives of one.
    """
    archives = find_archives(options.root, options.selection.subjects)
    unpacked = options.out / _UNPACKED
    tree: RawTree | FetchTree
    if archives or RawTree.found_in(options.root):
        tree = RawTree([options.root, unpacked])
    elif FetchTree.found_in(options.root):
        tree = FetchTree(options.root)
    else:
        raise UserError(
            f"root={options.root}: expected the archives of Human3.6M (Videos_S1.tgz, …), its tree as downloaded "
            "(S1/Videos, …) or as h36m-fetch leaves it (processed/S1/…/annot.h5)"
        )
    if archives:
        _check_room(options.out, round(1.2 * sum(path.stat().st_size for path in archives)), "to unpack archives")
    damaged = [finding for path in archives for finding in unpack(path, unpacked, progress)]
    report = examine_tree(tree, options.selection, options.workers, partial(progress, "examining"))
    report.add(damaged)
    return report


def prepare_folder(options: PrepareOptions, report: Report, progress: StepProgress) -> int:
    """Make the files of all usable recordings, and the manifest; return how many were made, not there already.

    What turns out to be damaged is added to the report of :func:`examine_folder`. A disk that is too small and a folder
    that another process works on are refused.
    """
    metadata = options.metadata or options.root / "metadata.xml"
    cameras = read_metadata(metadata) if options.metadata or metadata.is_file() else {}
    with writing(options.out), holding(options.out):
        for left in options.out.glob("S*/*.partial"):  # of a run that was killed
            left.unlink()
        everything = [_job(options, examination, cameras) for examination in report.usable]
        jobs = [job for job in everything if made_from(job.path) != job.made_from]
        _check_room(options.out, sum(map(_bytes, jobs)), f"for {len(jobs)} recordings")
        if jobs:
            (options.out / MANIFEST).unlink(missing_ok=True)
        outcomes = in_processes(_make, jobs, options.workers, partial(progress, "preparing"))
        report.add([finding for findings, _ in outcomes for finding in findings])
        made = sum(whole for _, whole in outcomes)
        originals = {job.path: job.examination.recording.footage.resolve() for job in everything}
        write_manifest(options.out, list(_entries(options.out, originals)))
    return made


def _job(options: PrepareOptions, examination: Examination, cameras: dict[tuple[str, str], CameraParameters]) -> _Job:
    name, size = examination.name, None
    if options.size is not None:
        size = FrameResize.of(examination.frame_size, options.size, options.resize_mode).content[2:]
    camera = cameras.get((name.subject, name.camera))
    origin = {
        "version": VERSION,
        "files": examination.recording.facts(),
        "poses": examination.kinds,
        "size": size,
        "compression": options.compression,
        "camera": None if camera is None else camera.to_dict(),
    }
    path = options.out / name.subject / f"{name.stem}.h5"
    plain = json.loads(json.dumps(origin, default=np.ndarray.tolist))
    return _Job(examination, path, size, options.compression, camera, plain)


def _bytes(job: _Job) -> int:
    """Return the room that a file takes, bytes, but for compression."""
    width, height = job.size or (0, 0)
    return job.examination.frames * (width * height * 3 + _POSE_BYTES)


def _make(job: _Job) -> tuple[list[Finding], bool]:
    """Make one file; return what was found on the way, and whether it was made. Runs in a process of its own."""
    examination, name = job.examination, job.examination.name
    try:
        clip, _ = examination.recording.clip()
        poses = {kind: examination.recording.poses(kind) for kind in examination.kinds}
        camera = job.camera
        if camera is None and "camera" in poses:
            camera = estimate_camera(poses["2d"], poses["camera"], poses.get("world"))
        lost = write_cache_file(job.path, name, clip, poses, camera, job.size, job.compression, job.made_from)
    except UnwritableError:
        raise
    except UserError as error:
        return [Finding("damaged", name.subject, name.key, str(error))], False
    odd = f"{lost} of {clip.stop} frames damaged or missing: skipped"
    return [Finding("odd", name.subject, name.key, odd)] if lost else [], True


def _entries(out: Path, originals: dict[Path, Path]) -> Iterator[PreparedRecording]:
    """Describe all whole files of a folder, those of earlier runs too."""
    for path in sorted(out.glob("S*/*.h5")):
        try:
            entry = read_entry(path)
        except UserError as error:
            log.warning("left out of the manifest: %s", error)
            continue
        yield replace(entry, video=originals.get(path, entry.video))


def _check_room(out: Path, needed: int, purpose: str) -> None:
    """Refuse to begin what the disk has no room for: so many bytes below a folder that need not exist."""
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if needed * _MARGIN > free:
        raise UserError(
            f"human36m.out={out}: {needed / 1e9:.1f} GB {purpose}, but {free / 1e9:.1f} GB are free there; expected a "
            "folder on a larger disk, fewer subjects or cameras, or smaller frames (human36m.frames.size)"
        )


def write_report(path: Path, report: Report) -> None:
    """Write what the doctor found as JSON; the folder of the file is made."""
    with replacing(path) as whole:
        whole.write_text(json.dumps(report.to_dict(), indent=1) + "\n")
