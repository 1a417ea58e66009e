"""The stream: a frame source played once, cut into windows, decoded in the background."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule

from datamodules.frames import DecodedFrame, FrameCache, FrameSizes, decode_frames
from datamodules.video import Clip, FrameSource
from pose_oad.distillation import as_distillation
from pose_oad.errors import UserError, check
from pose_oad.geometry import Fit, FrameFit
from pose_oad.skeleton import Skeleton
from pose_oad.window import FrameWindow, Segment

ImageSize = Callable[[tuple[int, int]], tuple[int, int] | None]


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is cut into windows.

    Attributes:
        window_frames: length of a window, frames
        input_size: width and height of the student's input, px
        fit: ``letterbox`` or ``squash``
        rate: camera rate, frames/s; None plays every frame of the files
        teacher_image_size: width and height at which the teacher wants a frame of a given size; None if it reads none
        teacher_every: the teacher sees one frame in this many
        decoder_threads: threads of the video decoder
        cache: keeps decoded frames for later runs; None decodes every time
    """

    window_frames: int
    input_size: tuple[int, int]
    fit: Fit = "letterbox"
    rate: float | None = None
    teacher_image_size: ImageSize = lambda size: None
    teacher_every: int = 1
    decoder_threads: int = 1
    cache: FrameCache | None = None


@dataclass(frozen=True)
class StreamPosition:
    """Where in the stream the next window begins.

    Attributes:
        window: number of the next window
        frame: stream number of its first frame
        clip: number of the clip that frame is in
        source_frame: last source frame of that clip already played, None at the clip's start
    """

    window: int = 0
    frame: int = 0
    clip: int = 0
    source_frame: int | None = None


def window_length(seconds: float | None, frames: int | None, rate: float) -> int:
    """Resolve a window length given in seconds or in frames.

    Args:
        seconds: length in s, or None
        frames: length in frames, or None; exactly one of the two is given
        rate: camera rate, frames/s

    Returns:
        The length in frames.

    Raises:
        UserError: if both or neither are given, or the window is shorter than one frame.
    """
    check(
        (seconds is None) != (frames is None),
        "window.seconds",
        seconds,
        "either window.seconds or window.frames, the other null",
    )
    key, value = ("window.frames", frames) if seconds is None else ("window.seconds", seconds)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UserError(f"{key}={value}: expected a number")
    length = round(value * rate) if key == "window.seconds" else value
    whole = length == int(length) and length >= 1
    check(whole, key, value, f"a window of at least one frame (the stream has {rate:g} frames/s)")
    return int(length)


class _WindowBuilder:
    """Frames of one window while they arrive."""

    def __init__(self, position: StreamPosition, options: StreamOptions) -> None:
        width, height = options.input_size
        self.position, self.options = position, options
        self.frames = torch.zeros(options.window_frames, height, width, 3, dtype=torch.uint8)
        self._pixels = self.frames.numpy()
        self.filled = 0
        self.segments: list[Segment] = []
        self.truth: list[np.ndarray] = []

    def open_segment(self, clip: Clip) -> None:
        self._clip, self._start = clip, self.filled
        self._fit = FrameFit.of(clip.frame_size, self.options.input_size, self.options.fit)
        self._teacher_images: list[np.ndarray] = []
        self._numbers: list[int] = []

    def add(self, frame: DecodedFrame) -> None:
        left, top, width, height = self._fit.content
        self._pixels[self.filled, top : top + height, left : left + width] = frame.student
        if frame.teacher is not None and (self.position.frame + self.filled) % self.options.teacher_every == 0:
            self._teacher_images.append(frame.teacher)
        self._numbers.append(frame.number)
        self.filled += 1

    def close_segment(self, truth: np.ndarray | None) -> None:
        if self.filled == self._start:
            return
        images = np.stack(self._teacher_images) if self._teacher_images else None
        clip = self._clip
        self.segments.append(Segment(clip.name, self._start, self.filled, self._fit, images, clip.labels))
        if truth is not None:
            self.truth.append(truth[self._numbers])

    def build(self, metric_width: float | None, truth_skeleton: Skeleton | None) -> FrameWindow:
        ids = np.arange(self.position.frame, self.position.frame + self.filled)
        first_width = self.segments[0].fit.frame_size[0]
        return FrameWindow(
            index=self.position.window,
            frames=self.frames[: self.filled],
            ids=ids,
            candidates=np.flatnonzero(ids % self.options.teacher_every == 0),
            segments=tuple(self.segments),
            metric_scale=metric_width / first_width if metric_width else 1.0,
            truth_skeleton=truth_skeleton,
            _sealed_truth=torch.from_numpy(np.concatenate(self.truth)) if self.truth else None,
        )


class WindowLoader:
    """Iterate over the windows of a stream; Lightning's data loader of an online run.

    Decoding runs in a thread: while a window is worked on, the next one is filled, and no more than that is held in
    memory, however long the stream. The position behind the last window handed out is the loader's state.

    Args:
        source: what to play
        options: how to cut it

    Attributes:
        source: what it plays
        options: how it cuts it
    """

    def __init__(self, source: FrameSource, options: StreamOptions) -> None:
        self.source, self.options = source, options
        self._position = StreamPosition()

    @property
    def total_frames(self) -> int:
        """Frames of the whole stream (an estimate where a file's time stamps are irregular)."""
        return sum(clip.sampled_length(self.options.rate) for clip in self.source.clips)

    def __len__(self) -> int:
        return -(-self.total_frames // self.options.window_frames)

    def state_dict(self) -> dict[str, Any]:
        """Return the position behind the last window handed out, as plain values."""
        return asdict(self._position)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position returned by :meth:`state_dict`."""
        self._position = StreamPosition(**state)

    def __iter__(self) -> Iterator[FrameWindow]:
        start = self._position
        for window, position in _in_background(self._read(start)):
            self._position = position
            yield window
        self._position = StreamPosition()

    def _read(self, position: StreamPosition) -> Iterator[tuple[FrameWindow, StreamPosition]]:
        """Fill windows one after another; runs in the decoding thread."""
        started = time.perf_counter()
        builder = _WindowBuilder(position, self.options)
        after = position.source_frame
        for number, clip in enumerate(self.source.clips[position.clip :], start=position.clip):
            truth = clip.truth() if clip.truth else None
            builder.open_segment(clip)
            for frame in self._frames(clip, after, position.frame + builder.filled):
                builder.add(frame)
                if builder.filled == self.options.window_frames:
                    builder.close_segment(truth)
                    position = StreamPosition(
                        position.window + 1, position.frame + builder.filled, number, frame.number
                    )
                    yield self._finish(builder, started), position
                    started = time.perf_counter()
                    builder = _WindowBuilder(position, self.options)
                    builder.open_segment(clip)
            builder.close_segment(truth)
            after = None
        if builder.filled:
            end = StreamPosition(position.window + 1, position.frame + builder.filled, len(self.source.clips))
            yield self._finish(builder, started), end

    def _frames(self, clip: Clip, after: int | None, first: int) -> Iterator[DecodedFrame]:
        """Yield a clip's frames behind a source frame; ``first`` is the stream's number of the next one."""
        options = self.options
        _, _, width, height = FrameFit.of(clip.frame_size, options.input_size, options.fit).content
        sizes = FrameSizes((width, height), options.teacher_image_size(clip.frame_size))
        if options.cache is not None:
            return options.cache.frames(clip, sizes, options.rate, after)
        return decode_frames(clip, sizes, options.rate, after, options.decoder_threads, options.teacher_every, first)

    def _finish(self, builder: _WindowBuilder, started: float) -> FrameWindow:
        window = builder.build(self.source.metric_width, self.source.skeleton)
        window.seconds["decode"] = time.perf_counter() - started
        return window


def _in_background(items: Iterator[Any]) -> Iterator[Any]:
    """Run an iterator in a thread, one item ahead of its consumer; its errors are raised here."""
    ahead: queue.Queue[tuple[str, Any]] = queue.Queue()
    room = threading.Semaphore(1)
    stopped = threading.Event()

    def work() -> None:
        try:
            while True:
                room.acquire()
                if stopped.is_set():
                    return
                ahead.put(("item", next(items)))
        except StopIteration:
            ahead.put(("end", None))
        except BaseException as error:  # handed over to the consumer, whatever it is
            ahead.put(("error", error))

    thread = threading.Thread(target=work, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ahead.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            room.release()
            yield value
            value = None  # the consumer's window is freed before the next one is awaited
    finally:
        stopped.set()
        room.release()
        thread.join(timeout=5)


class StreamDataModule(LightningDataModule):
    """Simulate the arrival of video: one pass over a source, one window a batch.

    Args:
        source: what to play
        options: how to cut it
    """

    def __init__(self, source: FrameSource, options: StreamOptions) -> None:
        super().__init__()
        self.loader = WindowLoader(source, options)

    def train_dataloader(self) -> WindowLoader:
        """Return the stream."""
        return self.loader

    def transfer_batch_to_device(self, batch: FrameWindow, device: torch.device, dataloader_idx: int) -> FrameWindow:
        """Leave the window in host memory; its frames travel to the device in batches as they are used."""
        return batch

    def on_after_batch_transfer(self, batch: FrameWindow, dataloader_idx: int) -> FrameWindow:
        """Give the window access to the run's teacher, before any callback sees it."""
        if self.trainer is not None:
            batch.desk = as_distillation(self.trainer.lightning_module).desk
        return batch
