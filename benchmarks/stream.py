"""What cutting a stream into windows costs beside decoding and resizing it with bare PyAV."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av
from omegaconf import DictConfig

from benchmarks.figures import Figure
from benchmarks.paired import alternate
from datamodules.stream import WindowLoader
from datamodules.video import VideoFileSource
from datamodules.video.clips import FrameSource
from datamodules.windowing import StreamOptions, window_length
from pose_oad.cli.command import build
from pose_oad.poses.geometry import FrameResize
from pose_oad.tracking.errors import check

_LIMIT = 0.8


def bench_stream(cfg: DictConfig) -> list[Figure]:
    """Measure how fast windows are read, as a share of what bare PyAV reads.

    Args:
        cfg: ``conf/bench.yaml``

    Raises:
        UserError: if a source cannot be read.
    """
    sources: dict[str, FrameSource] = {"stream": build(cfg.stream)}
    if cfg.video is not None:
        check(Path(cfg.video).is_file(), "video", cfg.video, "an existing video file")
        sources["stream.video"] = VideoFileSource(cfg.video)
    return [figure for name, source in sources.items() for figure in _compare(name, source, cfg)]


def _compare(name: str, source: FrameSource, cfg: DictConfig) -> list[Figure]:
    options = StreamOptions(
        window_frames=window_length(cfg.window.seconds, cfg.window.frames, source.clips[0].rate),
        input_size=(cfg.student.input_size[0], cfg.student.input_size[1]),
        resize_mode=cfg.window.resize_mode,
        decoder_threads=cfg.window.decoder_threads,
    )
    frames = sum(clip.stop - clip.start for clip in source.clips)
    cases: dict[str, Callable[[], float]] = {
        "windows": lambda: timed(lambda: read_windows(source, options), frames),
        "bare PyAV": lambda: timed(lambda: read_bare(source, options), frames),
    }
    seconds = alternate(cases, cfg.repeats)
    shares = tuple(bare / ours for ours, bare in zip(seconds["windows"], seconds["bare PyAV"], strict=True))
    width, height = source.clips[0].frame_size
    what = f"{frames} frames of {width}x{height} to {options.input_size[0]}x{options.input_size[1]} px"
    figures = [
        Figure(
            f"{name}.share", statistics.median(shares), "x", f"frames/s of windows / of bare PyAV; {what}",
            _LIMIT, "at least", shares,
        )
    ]  # fmt: skip
    for case, taken in seconds.items():
        speeds = tuple(frames / value for value in taken)
        label = case.replace(" ", "_").lower()
        figures.append(Figure(f"{name}.{label}", statistics.median(speeds), "frames/s", case, samples=speeds))
    return figures


def timed(read: Callable[[], int], frames: int) -> float:
    """Return the seconds it takes to read everything.

    Args:
        read: reads it and returns how many frames that were
        frames: how many there are

    Raises:
        RuntimeError: if that were not all frames.
    """
    started = time.perf_counter()
    seen = read()
    seconds = time.perf_counter() - started
    if seen != frames:
        raise RuntimeError(f"read {seen} of {frames} frames")
    return seconds


def read_windows(source: FrameSource, options: StreamOptions) -> int:
    """Read a stream window by window and return how many frames it has."""
    return sum(len(window) for window in WindowLoader(source, options))


def read_bare(source: FrameSource, options: StreamOptions) -> int:
    """Decode and resize a stream's frames with nothing but PyAV and return how many there are."""
    seen = 0
    for clip in source.clips:
        _, _, width, height = FrameResize.of(clip.frame_size, options.input_size, options.resize_mode).content
        with av.open(str(clip.path)) as container:
            video = container.streams.video[0]
            video.thread_type, video.codec_context.thread_count = "AUTO", options.decoder_threads
            for number, frame in enumerate(container.decode(video)):
                if number == clip.stop:
                    break
                if number >= clip.start:
                    frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
                    seen += 1
    return seen
