"""What predicting a video costs beside decoding it, a bare forward pass and encoding it again."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch
from omegaconf import DictConfig

from benchmarks.figures import Figure
from benchmarks.paired import alternate
from benchmarks.setting import online_config, silence
from datamodules.video import VideoFileSource
from datamodules.video.clips import FrameSource
from datamodules.video.reading import probe
from pose_oad.cli.command import build, compose_config
from pose_oad.cli.predict import main as predict
from pose_oad.poses.geometry import FrameResize
from pose_oad.predict.canvas import even
from pose_oad.predict.overlay import overlay_video
from pose_oad.students import PoseStudent, load_student
from pose_oad.tracking.errors import check

_LIMIT = 0.85


def bench_predict(cfg: DictConfig) -> list[Figure]:
    """Measure how fast a video is predicted and drawn, as a share of what a bare loop reaches.

    The bare loop decodes frames to the input's size, runs the network on batches and encodes the original frames, one
    after another in one thread, with the same encoder; it looks at no map and draws nothing.

    Args:
        cfg: ``conf/bench.yaml``; the video is ``video``, or the stream's first one

    Raises:
        UserError: if the video or the checkpoint cannot be read.
    """
    if cfg.video is not None:
        check(Path(cfg.video).is_file(), "video", cfg.video, "an existing video file")
    source: FrameSource = build(cfg.stream) if cfg.video is None else VideoFileSource(cfg.video)
    video = source.clips[0].path
    size, _, frames = probe(video)
    with TemporaryDirectory() as folder:
        checkpoint = str(online_config(cfg, Path(folder), 1.0).checkpoint)
        overlay = Path(folder) / "overlay.mp4"
        ours = compose_config(
            "predict",
            [
                f"output.video={overlay}",
                "overwrite=true",
                "people=single",
                f"batch_size={cfg.metric.batch_size}",
                f"resize_mode={cfg.window.resize_mode}",
            ],
        )
        ours.checkpoint, ours.source, ours.threads = checkpoint, str(video), cfg.threads
        cases: dict[str, Callable[[], float]] = {
            "predict": lambda: _predict(ours, frames),
            "bare": lambda: _bare(load_student(checkpoint), video, overlay, ours),
        }
        seconds = alternate(cases, cfg.repeats)
    shares = tuple(bare / mine for mine, bare in zip(seconds["predict"], seconds["bare"], strict=True))
    what = f"frames/s of predict / of decoding, forward pass and encoding; {frames} frames of {size[0]}x{size[1]} px"
    figures = [Figure("predict.share", statistics.median(shares), "x", what, _LIMIT, "at least", shares)]
    for case, taken in seconds.items():
        speeds = tuple(frames / value for value in taken)
        figures.append(Figure(f"predict.{case}", statistics.median(speeds), "frames/s", case, samples=speeds))
    return figures


def _predict(cfg: DictConfig, frames: int) -> float:
    """Predict a video; return the seconds from its first frame to the finished file."""
    with silence():
        summary = predict(cfg.copy())
    if summary["frames"] != frames:
        raise RuntimeError(f"predicted {summary['frames']} of {frames} frames")
    return summary["seconds"]


@torch.inference_mode()
def _bare(student: PoseStudent, video: Path, target: Path, cfg: DictConfig) -> float:
    """Decode, run the network and encode; return the seconds."""
    started = time.perf_counter()
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "AUTO", 1
        size = (stream.codec_context.width, stream.codec_context.height)
        left, top, width, height = FrameResize.of(size, student.input_size, cfg.resize_mode).content
        inputs = np.zeros((cfg.batch_size, student.input_size[1], student.input_size[0], 3), np.uint8)
        rate = stream.average_rate or stream.guessed_rate
        with overlay_video(target, even(size), Fraction(rate or 1), cfg.output.crf) as encode:
            decoded, numbers = container.decode(stream), itertools.count()
            while taken := list(itertools.islice(decoded, cfg.batch_size)):
                for row, frame in enumerate(taken):
                    rgb = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
                    inputs[row, top : top + height, left : left + width] = rgb
                student(student.normalise(torch.from_numpy(inputs[: len(taken)])))
                for frame in taken:
                    encode(frame, next(numbers))
    return time.perf_counter() - started
