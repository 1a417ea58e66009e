"""Draw a student's poses into a video, beside a teacher's and the truth, and write them to a file.

The source is a video, a folder of images, a camera or a URL; the student a checkpoint or an exported network.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import torch
from av import FFmpegError
from av.video.frame import VideoFrame
from omegaconf import DictConfig
from pydantic import Field
from rich.console import Console

from datamodules.human36m.poses import read_poses
from datamodules.human36m.tree import with_confidence
from datamodules.video.clips import Clip
from datamodules.video.connections import Address, is_connection, open_live
from datamodules.video.decoding import Decoded, reason
from datamodules.video.files import open_path
from datamodules.video.reading import LENGTH_TOLERANCE, read_frames
from pose_oad.cli.assembly import take_threads
from pose_oad.cli.command import check_keys
from pose_oad.cli.teachers import make_teacher
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.predict import pipeline
from pose_oad.predict.batches import read_batches
from pose_oad.predict.job import Outputs, PredictionJob
from pose_oad.predict.keypoint_files import check_joints
from pose_oad.predict.networks import choose_resize_mode, load_predictor
from pose_oad.predict.poses import FollowingReader, PoseReader, StudentReader, TeacherReader, TruthReader
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.files import Staging
from pose_oad.tracking.progress import watched
from pose_oad.tracking.schema import Count, Positive, Text
from pose_oad.tracking.tables import facts_table, print_paths

_LOG = logging.getLogger(__name__)


def main(cfg: DictConfig) -> dict[str, float]:
    """Predict a source from its configuration.

    Args:
        cfg: ``conf/predict.yaml`` with overrides

    Returns:
        ``frames``, ``seconds``, ``frames_per_second`` and, where there is something to compare with,
        ``error_px/<reader>``.

    Raises:
        UserError: if the configuration, the source or an output cannot be used; no output is left then.
    """
    _check_values(cfg)
    with Staging(cfg.overwrite) as staging, ExitStack() as stack:
        outputs = Outputs.of(cfg, staging)
        clip, decoded = open_source(cfg.source, cfg.output.image_rate)
        readers, measured = make_readers(cfg, clip)
        check_joints(outputs.kind, readers[0].skeleton, cfg.output.openpose)
        job = PredictionJob(cfg, readers, measured)
        job.open(outputs, clip, staging, stack)
        total = min((count for count in (clip.stop, cfg.limit) if count), default=None)
        frames = stack.enter_context(closing(watched(islice(decoded, cfg.limit), total, "frames")))
        batches = read_batches(frames, [reader.resize for reader in readers], cfg.batch_size, outputs.video is not None)
        started = time.perf_counter()
        pipeline.run(batches, job.work, job.write, stoppable=not clip.stop)
        if job.frames == 0:
            raise UserError(f"source={cfg.source}: no frame arrived")
    seconds = time.perf_counter() - started
    errors = {f"error_px/{name}": value for name, value in job.errors().items()}
    summary = {"frames": job.frames, "seconds": seconds, "frames_per_second": job.frames / seconds, **errors}
    _report(summary, outputs)
    return summary


def _check_values(cfg: DictConfig) -> None:
    """Refuse values that nobody else checks."""
    check_keys(cfg, {
        "checkpoint": Text,
        "people": Literal["auto", "single", "many"],
        "threshold": Annotated[float, Field(ge=0, lt=1)],
        "batch_size": Count,
        "limit": Count | None,
        "overwrite": bool,
        "metric_width": Positive | None,
        "output.format": Literal["auto", "coco", "openpose", "csv", "parquet"],
        "output.openpose": Literal["body-25", "coco-18"],
        "output.crf": Annotated[int, Field(ge=0, le=51)],
        "output.image_rate": Annotated[float, Field(ge=0.1, le=1000)],
    })  # fmt: skip


def make_readers(cfg: DictConfig, clip: Clip) -> tuple[list[PoseReader], bool]:
    """Load whoever says where people are, the student first, the truth last; tell if errors are measured to that."""
    truth = _truth(str(cfg.truth), clip) if cfg.truth else None
    cfg.threads = take_threads(cfg.threads)
    readers: list[PoseReader] = []
    for path in filter(None, (cfg.checkpoint, cfg.compare)):
        predictor = load_predictor(str(path), cfg.device, cfg.threads)
        readers.append(
            StudentReader(predictor, choose_resize_mode(predictor, "resize_mode", cfg.resize_mode), cfg.people)
        )
    if len(readers) == 2 and readers[1].name == readers[0].name:
        readers[1].name += " (compare)"
    students = len(readers)
    if cfg.get("teacher") is not None:
        check_keys(cfg, {"teacher.every": Count})
        teacher = make_teacher(cfg.teacher, truth.skeleton if truth else None, cfg.label_cache)
        keypoints = truth.keypoints if truth and teacher.uses_truth else None
        place = Path(str(cfg.source)) if clip.stop else None
        readers.append(TeacherReader(teacher, cfg.people, cfg.teacher.every, keypoints, place, clip.images))
    readers += [truth] if truth is not None else []
    return [FollowingReader(reader) for reader in readers], len(readers) > students


def open_source(source: object, image_rate: float) -> tuple[Clip, Iterator[tuple[int, VideoFrame]]]:
    """Open a video file, a folder of images (so many images/s, of any sizes), an image, a camera's number or a URL.

    Returns:
        The clip, whose ``stop`` is 0 where it goes on until it is interrupted; and its frames with their numbers, those
        of damaged frames left out.

    Raises:
        UserError: if it is none of these, or cannot be read.
    """
    text = "" if source is None else str(source)
    path = Path(text)
    if is_connection(text):
        opened = open_live(Address(text, key="source"))
    else:
        there = bool(text) and (path.is_dir() or path.is_file())
        check(there, "source", source, "a video file, a folder of images, an image, a camera's number or a URL")
        opened = open_path(path, image_rate, "source", alike=False)
    if isinstance(opened, Clip):
        return opened, read_frames(opened)
    check(opened.rate > 0, "source", source, "a video that says how many frames it has per second")
    return Clip(text, path, opened.size, opened.rate, 0, 0), _until_lost(text, opened.frames)


def _until_lost(source: str, frames: Iterator[Decoded]) -> Iterator[tuple[int, VideoFrame]]:
    """Take a lost connection for an end like any other: what has been filmed is kept."""
    number = 0
    try:
        for number, _, frame in frames:
            yield number, frame
    except FFmpegError as error:
        _LOG.warning("source=%s: lost after frame %d (%s)", source, number, reason(error))


def _truth(path: str, clip: Clip) -> TruthReader:
    """Read the ground truth of a source."""
    check(Path(path).is_file(), "truth", path, "a file of 2-D poses (.cdf), or null")
    keypoints = torch.from_numpy(with_confidence(read_poses(Path(path))))
    if not clip.stop or abs(len(keypoints) - clip.stop) > LENGTH_TOLERANCE:
        frames = clip.stop or "unknown"
        raise UserError(f"truth={path}: {len(keypoints)} poses do not match a source of {frames} frames")
    return TruthReader(keypoints, get_skeleton("human36m-32"))


def _report(summary: dict[str, float], outputs: Outputs) -> None:
    """Print what has been done."""
    table = facts_table()
    speed = f"{summary['frames']:,} in {summary['seconds']:.1f} s ({summary['frames_per_second']:.0f} frames/s)"
    table.add_row("frames", speed)
    for name, value in list(summary.items())[3:]:
        table.add_row(f"mean error, {name.removeprefix('error_px/')}", f"{value:.1f} px")
    console = Console()
    console.print(table)
    print_paths(console, "written", *filter(None, (outputs.video, outputs.keypoints)))
