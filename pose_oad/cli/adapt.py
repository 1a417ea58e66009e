"""Adapt a student to a video of one's own: run it, say whether it helped, draw before and after, export the student.

Everything lies in one folder at the end: student.ckpt, student.onnx, overlay.mp4, look.html, error.png.
"""

from __future__ import annotations

import glob
import logging
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig
from pydantic import Field

from datamodules.video import VideoFileSource
from datamodules.video.connections import is_connection
from datamodules.video.images import IMAGE_SUFFIXES
from pose_oad.api import Adaptation, adapt
from pose_oad.cli import export, predict
from pose_oad.cli.command import check_keys, compose_config, plain
from pose_oad.cli.overrides import override
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Positive, Text

_LOG = logging.getLogger(__name__)

_LONGEST_S = 6.0  # of a window
_WINDOWS = 10  # of a short source
_MEASURED = 100  # frames, at least where there are so many


def main(cfg: DictConfig) -> Adaptation:
    """Adapt to a source from ``conf/adapt.yaml`` with overrides.

    Raises:
        UserError: if the configuration, the source, the teacher or the student cannot be used.
    """
    check_keys(cfg, {
        "video": Text | int, "teacher_from": Text, "checkpoint": Text, "rate": Annotated[float, Field(gt=0, le=1)],
        "seconds": Positive | None, "folder": Text, "labels": Text | None, "overlay": bool, "export": bool,
    })  # fmt: skip
    options: dict[str, Any] = {
        "label_cache": cfg.labels, "output.folder": cfg.folder,
        **{f"tracking.{key}": value for key, value in plain(cfg.tracking).items()},
    }  # fmt: skip
    if cfg.teacher_from == "keypoint_rcnn":
        options["teacher.weights"] = "DEFAULT"
    files = find_files(str(cfg.video))
    if files:
        stream: dict[str, Any] = {"stream": "video", "stream.path": files if len(files) > 1 else files[0]}
        options |= stream | fitting(files, cfg.rate, cfg.seconds)
    else:
        options |= {"stream": "live", "stream.path": str(cfg.video), "window.seconds": cfg.seconds or _LONGEST_S}
    options |= plain(cfg.options) if cfg.options else {}
    run = adapt(cfg.checkpoint, options["stream"], rate=cfg.rate, teacher=cfg.teacher_from, options=options)
    run.record.report()
    folder, after = run.folder, run.folder / "student.ckpt"
    if cfg.overlay and files:
        _run(predict, checkpoint=after, compare=cfg.checkpoint, source=files[0], **{
            "output.video": folder / "overlay.mp4", "threads": run.cfg.threads
        })  # fmt: skip
    if cfg.export and files:
        _run(export, stream="video", checkpoint=after, **{
            "stream.path": files[0], "output.file": folder / "student.onnx", "latency.compile_s": 0,
            "latency.repeats": 10, "threads": run.cfg.threads,
        })  # fmt: skip
    _LOG.info("everything is in %s", folder)
    return run


def _run(command: Any, **values: Any) -> None:
    """Run another command with its defaults but some values."""
    verb = command.__name__.rpartition(".")[2]
    command.main(compose_config(verb, [override(key, value) for key, value in values.items()]))


def find_files(source: str) -> list[str]:
    """List the videos, or the one folder of images, that a source names; none of a camera or a URL.

    Raises:
        UserError: if it names nothing that exists.
    """
    path = Path(source)
    if is_connection(source):
        return []
    if path.is_dir() and not any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir()):
        found = [str(file) for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
    else:
        found = [source] if path.exists() else sorted(glob.glob(source))
    accepted = "a video, a folder of videos or of images, a pattern that matches files, a camera's number or a URL"
    check(bool(found), "video", source, accepted)
    return found


def fitting(files: list[str], rate: float, seconds: float | None) -> dict[str, Any]:
    """Choose how a source is cut into windows and how many of its frames are measured.

    Args:
        files: the videos, or the folder of images
        rate: share of a window's frames that may be labelled; a window is long enough for one label
        seconds: length of a window, s; None: a tenth of the source, at most six seconds
    """
    clips = VideoFileSource(files).clips
    frames, per_second = sum(clip.sampled_length(None) for clip in clips), clips[0].rate
    wanted = seconds or min(_LONGEST_S, frames / _WINDOWS / per_second)
    window = min(max(round(wanted * per_second), -int(-1 // rate)), max(1, frames))
    return {
        "window.seconds": None, "window.frames": window, "metric.teacher_every": min(10, max(1, frames // _MEASURED)),
    }  # fmt: skip
