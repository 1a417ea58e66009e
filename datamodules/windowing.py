"""Cutting a stream into windows: how long, what of each frame, and a window while its frames arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import psutil
import torch

from datamodules.video.clips import Clip, DecodedFrame
from datamodules.video.frames import FrameCache
from pose_oad.online.window import FrameWindow, Segment
from pose_oad.poses.geometry import FrameResize, ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Origin
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Count, Number, Positive, check_value

ImageSize = Callable[[tuple[int, int]], tuple[int, int] | None]


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is cut into windows.

    Raises:
        UserError: if the camera rate or the number of threads cannot be, or a window does not fit into memory.
    """

    window_frames: int  #: length of a window, frames
    input_size: tuple[int, int]  #: width and height of the student's input, px
    resize_mode: ResizeMode = "letterbox"  #: ``letterbox`` or ``squash``
    rate: float | None = None  #: camera rate, frames/s; None plays every frame of the files
    #: width and height at which the teacher wants a frame of a given size; None if it reads none
    teacher_image_size: ImageSize = lambda size: None
    teacher_every: int = 1  #: the teacher sees one frame in this many
    decoder_threads: int = 1  #: threads of the video decoder
    cache: FrameCache | None = None  #: keeps decoded frames for later runs; None decodes every time
    windows: int | None = None  #: the stream ends after this many; None plays all of them

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_value(Number, self.decoder_threads, "window.decoder_threads")
        width, height = self.input_size
        most = psutil.virtual_memory().total // (2 * 3 * width * height)
        check(self.window_frames <= most, "window.frames", self.window_frames, f"at most {most}: half of the memory")
        check_value(Count | None, self.windows, "trainer.limit_train_batches")


@dataclass(frozen=True)
class StreamPosition:
    """Where in the stream the next window begins."""

    window: int = 0  #: number of the next window
    frame: int = 0  #: stream number of its first frame
    clip: int = 0  #: number of the clip that frame is in
    source_frame: int | None = None  #: last source frame of that clip already played, None at the clip's start


def check_rate(rate: object) -> None:
    """Refuse a ``window.camera_rate`` that is neither None nor a number of frames/s."""
    check_value(Positive | None, rate, "window.camera_rate")


def window_length(seconds: float | None, frames: int | None, rate: float) -> int:
    """Resolve a window length given in seconds or in frames, one of them None, at a camera rate (frames/s), to frames.

    Raises:
        UserError: if both or neither are given, or the window is shorter than one frame.
    """
    accepted = "either window.seconds or window.frames, the other null"
    check((seconds is None) != (frames is None), "window.seconds", seconds, accepted)
    if seconds is None:
        return check_value(Count, frames, "window.frames")
    length = round(check_value(Positive, seconds, "window.seconds") * rate)
    check(length >= 1, "window.seconds", seconds, f"a window of at least one frame (the stream has {rate:g} frames/s)")
    return length


class WindowBuilder:
    """A window while its frames arrive, from a position in the stream on."""

    def __init__(self, position: StreamPosition, options: StreamOptions) -> None:
        width, height = options.input_size
        self._position, self._options = position, options
        self._frames = torch.zeros(options.window_frames, height, width, 3, dtype=torch.uint8)
        self._pixels = self._frames.numpy()
        self._segments: list[Segment] = []
        self._truth: list[np.ndarray] = []
        self._dropped: int | None = None
        self.filled = 0

    @property
    def room(self) -> int:
        """Frames that still fit in."""
        return self._options.window_frames - self.filled

    def add(self, clip: Clip, frames: Iterable[DecodedFrame], truth: np.ndarray | None) -> list[int]:
        """Add neighbouring frames of one clip, no more than there is room for; return their source frame numbers.

        Args:
            clip: the clip
            frames: its frames
            truth: ground truth of all source frames of the clip, shape (frames, people, joints, 3), px; None for none
        """
        resize = FrameResize.of(clip.frame_size, self._options.input_size, self._options.resize_mode)
        left, top, width, height = resize.content
        start, numbers, teacher_images = self.filled, [], []
        for frame in frames:
            self._pixels[self.filled, top : top + height, left : left + width] = frame.student
            if frame.teacher is not None and (self._position.frame + self.filled) % self._options.teacher_every == 0:
                teacher_images.append(frame.teacher)
            numbers.append(frame.number)
            if clip.live is not None:
                self._dropped = (self._dropped or 0) + frame.dropped
            self.filled += 1
        if not numbers:
            return numbers
        images = np.stack(teacher_images) if teacher_images else None
        names = tuple(clip.names[number] for number in numbers if clip.names)
        path = None if clip.live is not None or clip.url else clip.path
        origin = Origin(clip.name, path, np.array(numbers), names)
        self._segments.append(
            Segment(clip.name, start, self.filled, resize, images, clip.labels, origin, clip.recording or clip.name)
        )
        if truth is not None:
            self._truth.append(truth[numbers])
        return numbers

    def build(
        self, metric_width: float | None, truth_skeleton: Skeleton | None, rate: float, decode_s: float
    ) -> FrameWindow:
        """Return the window of the frames that have arrived, at least one.

        ``metric_width`` is the width of the image, px, to which distances are scaled; None: the original frame.
        ``rate`` is the frames of the stream per second, ``decode_s`` the time that decoding these took, s.
        """
        ids = np.arange(self._position.frame, self._position.frame + self.filled)
        return FrameWindow(
            index=self._position.window,
            frames=self._frames[: self.filled],
            ids=ids,
            candidates=np.flatnonzero(ids % self._options.teacher_every == 0),
            segments=tuple(
                replace(segment, metric_scale=metric_width / segment.resize.frame_size[0] if metric_width else 1.0)
                for segment in self._segments
            ),
            truth_skeleton=truth_skeleton,
            rate=rate,
            frames_dropped=self._dropped,
            decode_s=decode_s,
            _sealed_truth=torch.from_numpy(np.concatenate(self._truth)) if self._truth else None,
        )
