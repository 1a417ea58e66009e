"""Clips of video: what a frame source is made of, how their frames are read, and video files without ground truth."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from pose_oad.errors import UserError, check
from pose_oad.skeleton import Skeleton

if TYPE_CHECKING:
    from datamodules.frames import DecodedFrame, FrameSizes

log = logging.getLogger(__name__)

# Containers announce their length only roughly; a clip that ends this many frames early is still whole.
LENGTH_TOLERANCE = 10


class PreparedFrames(Protocol):
    """Frames of a clip that were decoded beforehand."""

    def holds(self, sizes: FrameSizes) -> bool:
        """Say whether frames of these sizes are there."""
        ...

    def frames(self, clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None) -> Iterator[DecodedFrame]:
        """Read the clip's stretch as :func:`~datamodules.frames.decode_frames` would."""
        ...


@dataclass(frozen=True)
class Clip:
    """A stretch of one video file.

    Attributes:
        name: how logs and reports call it
        path: the video file
        frame_size: width and height, px
        rate: frames per second of the file
        start: first source frame of the stretch
        stop: source frame after its last
        truth: loads the ground truth of all source frames, shape (frames, people, joints, 3), original px; None
            where there is none
        labels: what evaluation groups errors by, as ``{"subject": "S1", "action": "Walking", "camera": "55011271"}``
        prepared: its frames, decoded beforehand; None where they are decoded as they are asked for
        recording: what several cameras film at the same time; empty: this clip alone
        names: file names of the frames, where every frame is a file of its own in the folder ``path``
    """

    name: str
    path: Path
    frame_size: tuple[int, int]
    rate: float
    start: int
    stop: int
    truth: Callable[[], np.ndarray] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    prepared: PreparedFrames | None = None
    recording: str = ""
    names: tuple[str, ...] = ()

    def sampled_length(self, rate: float | None) -> int:
        """Number of frames the stretch yields at a camera rate (frames/s; None: every frame)."""
        if rate is None or rate >= self.rate:
            return self.stop - self.start
        first, last = (_tick(frame / self.rate, rate) for frame in (self.start, self.stop - 1))
        return last - first + 1


class FrameSource(Protocol):
    """Where a stream's frames come from.

    Attributes:
        clips: what to play, in order
        skeleton: joint set of the ground truth; None where there is none
        metric_width: width of the image, px, to which reported distances are scaled; None: the original frame
        together: cameras that play side by side: so many neighbouring clips film the same moments, frame by frame, and
            share each window
    """

    clips: list[Clip]
    skeleton: Skeleton | None
    metric_width: float | None
    together: int


def probe(path: Path) -> tuple[tuple[int, int], float, int]:
    """Read a video file's header.

    Returns:
        Width and height (px), frames per second, number of frames (counted packet by packet where the header is
        silent).

    Raises:
        UserError: if the file cannot be read as a video.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        size = (stream.codec_context.width, stream.codec_context.height)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        try:
            frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.pts is not None)
        except av.FFmpegError as error:
            raise UserError(f"{path}: damaged video ({_reason(error)})") from error
    if not (rate > 0 and frames > 0 and min(size) > 0):
        raise UserError(f"{path}: not a playable video (size {size[0]}x{size[1]}, {rate:g} frames/s, {frames} frames)")
    return size, rate, frames


def read_frames(
    clip: Clip, rate: float | None = None, after: int | None = None, threads: int = 1
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode a clip frame by frame.

    Args:
        clip: what to read
        rate: camera rate, frames/s: of the file's frames the first in each tick of 1/rate is kept; None keeps all
        after: go on behind this source frame; None starts at the clip's own start
        threads: decoder threads

    Yields:
        Source frame number and decoded frame.

    Raises:
        UserError: if the file cannot be read, or ends more than ``LENGTH_TOLERANCE`` frames early.
    """
    first = clip.start if after is None else after + 1
    resample = rate is not None and rate < clip.rate
    last_tick = _tick((first - 1) / clip.rate, rate) if resample and rate and first > clip.start else None
    number = -1
    with _open(clip.path) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        try:
            for number, frame in enumerate(container.decode(stream)):
                if number >= clip.stop:
                    return
                if number < first:
                    continue
                if resample and rate:
                    tick = _tick(frame.time if frame.time is not None else number / clip.rate, rate)
                    if tick == last_tick:
                        continue
                    last_tick = tick
                yield number, frame
        except av.FFmpegError as error:
            raise UserError(f"{clip.path}: damaged video after frame {number} ({_reason(error)})") from error
    if number + 1 < clip.stop - LENGTH_TOLERANCE:
        raise UserError(f"{clip.path}: truncated video: ends after {number + 1} of {clip.stop} frames")


def _tick(seconds: float, rate: float) -> int:
    # The small term keeps a time stamp rounded just below a tick in that tick.
    return int(np.floor(seconds * rate + 1e-6))


def _open(path: Path) -> InputContainer:
    check(path.is_file(), "stream", path, "an existing video file")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{path}: cannot be read as a video ({_reason(error)})") from error
    if not container.streams.video:
        container.close()
        raise UserError(f"{path}: holds no video stream")
    return container


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def fraction_of(frames: int, start: float, end: float) -> tuple[int, int]:
    """Turn start and end fractions of a sequence into frame numbers.

    Raises:
        UserError: unless 0 <= start < end <= 1.
    """
    check(_is_number(start) and 0 <= start < 1, "stream.start", start, "a fraction in [0, 1)")
    check(_is_number(end) and start < end <= 1, "stream.end", end, f"a fraction in ({start}, 1]")
    return int(start * frames), int(end * frames)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class VideoFileSource:
    """One video file of any format that PyAV opens, without ground truth.

    Args:
        path: the file
        start: fraction of the file to start at
        end: fraction of the file to end at
        metric_width: width of the image, px, to which distances are scaled; None: the original frame

    Raises:
        UserError: if the file is missing or not a video, or a fraction is off.
    """

    skeleton: Skeleton | None = None
    together = 1

    def __init__(
        self, path: str | None, start: float = 0.0, end: float = 1.0, metric_width: float | None = None
    ) -> None:
        check(bool(path), "stream.path", path, "a video file, as in stream.path=my.mp4")
        file = Path(str(path))
        check(file.is_file(), "stream.path", file, "an existing video file")
        size, rate, frames = probe(file)
        first, last = fraction_of(frames, start, end)
        self.clips = [Clip(file.stem, file, size, rate, first, last)]
        self.metric_width = metric_width
