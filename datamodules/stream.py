"""The stream: a frame source played once, cut into windows, decoded in the background."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
from lightning import LightningDataModule

from datamodules.video.clips import Clip, DecodedFrame, FrameSizes, FrameSource, is_live
from datamodules.video.reading import decode_frames
from datamodules.windowing import StreamOptions, StreamPosition, WindowBuilder
from pose_oad.online.window import FrameWindow
from pose_oad.poses.geometry import FrameResize
from pose_oad.tracking.ahead import one_ahead
from pose_oad.tracking.errors import check

#: Number of windows of a live stream, as Lightning is told.
ENDLESS = 2**40


class WindowLoader:
    """Iterate over the windows of a stream; Lightning's data loader of an online run.

    Decoding runs in a thread: while a window is worked on, the next one is filled, and no more than that is held in
    memory, however long the stream. The position behind the last window handed out is the loader's state. Cameras that
    play side by side must share a window equally.
    """

    def __init__(self, source: FrameSource, options: StreamOptions) -> None:
        self.source, self.options = source, options
        self._position = StreamPosition()
        check(
            options.window_frames % source.together == 0,
            "window.frames",
            options.window_frames,
            f"a multiple of {source.together}, the cameras that play side by side",
        )

    @property
    def total_frames(self) -> int:
        """Frames of the whole stream (an estimate where time stamps are irregular); a live one is refused."""
        return sum(clip.sampled_length(self.options.rate) for clip in self.source.clips)

    def __len__(self) -> int:
        """Return the number of windows still to come, but no less than 1: Lightning leaves out the end of no stream.

        Raises:
            TypeError: if the source is live: nobody knows, as Lightning takes it.
        """
        if is_live(self.source):
            raise TypeError("a live stream has no length")
        windows = -(-self.total_frames // self.options.window_frames)
        return max(1, min(windows, self.options.windows or windows) - self._position.window)

    def state_dict(self) -> dict[str, Any]:
        """Return the position behind the last window handed out, as plain values."""
        return asdict(self._position)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position returned by :meth:`state_dict`; refuse a clip that the source has not."""
        self._position = StreamPosition(**state)
        if self._position.clip > len(self.source.clips):  # as many, at the stream's end
            raise ValueError(f"clip {self._position.clip} of {len(self.source.clips)}")

    def __iter__(self) -> Iterator[FrameWindow]:
        limit = self.options.windows
        left = None if limit is None else max(0, limit - self._position.window)
        windows = one_ahead(itertools.islice(self._read(self._position), left))
        try:
            for window, position in windows:
                self._position = position
                yield window
            self._position = StreamPosition()
        finally:
            self.stop()
            windows.close()

    def stop(self) -> None:
        """Let go of cameras; windows that are asked for later are of new frames."""
        for clip in self.source.clips:
            if clip.live is not None:
                clip.live.stop()

    def _read(self, position: StreamPosition) -> Iterator[tuple[FrameWindow, StreamPosition]]:
        """Fill windows one after another; runs in the decoding thread."""
        started = time.perf_counter()
        builder = WindowBuilder(position, self.options)
        last, clips, together = position.source_frame, self.source.clips, self.source.together
        for number in range(position.clip, len(clips), together):
            group = clips[number : number + together]
            truths = [clip.truth() if clip.truth else None for clip in group]
            readers = [self._frames(clip, last, position.frame + builder.filled) for clip in group]
            instants = _in_step(readers)
            while True:
                # Cameras that film together share the window: the same instants of each, one camera after another.
                wanted = builder.room // together
                shares = _by_camera(itertools.islice(instants, wanted), together)
                added = [
                    builder.add(clip, share, truth) for clip, share, truth in zip(group, shares, truths, strict=True)
                ]
                if min(map(len, added)) < wanted:  # the recording has ended
                    break
                last = added[0][-1] if added[0] else last
                position = StreamPosition(position.window + 1, position.frame + builder.filled, number, last)
                yield self._finish(builder, started), position
                started = time.perf_counter()
                builder = WindowBuilder(position, self.options)
            last = None
        if builder.filled:
            end = StreamPosition(position.window + 1, position.frame + builder.filled, len(clips))
            yield self._finish(builder, started), end

    def _frames(self, clip: Clip, after: int | None, first: int) -> Iterator[DecodedFrame]:
        """Yield a clip's frames behind a source frame; ``first`` is the stream's number of the next one."""
        options = self.options
        _, _, width, height = FrameResize.of(clip.frame_size, options.input_size, options.resize_mode).content
        sizes = FrameSizes((width, height), options.teacher_image_size(clip.frame_size))
        every = options.teacher_every
        if clip.live is not None:
            rate = options.rate if options.rate is not None and options.rate < clip.rate else None
            return clip.live.frames(sizes, rate, every, first, after)
        if clip.prepared is not None and clip.prepared.holds(sizes):
            return clip.prepared.read(clip, sizes, options.rate, after)
        if options.cache is not None:
            return options.cache.frames(clip, sizes, options.rate, after)
        # A camera's share of a window does not begin where the stream's numbers would have it: keep every frame.
        every = every if self.source.together == 1 else 1
        return decode_frames(clip, sizes, options.rate, after, options.decoder_threads, every, first)

    def _finish(self, builder: WindowBuilder, started: float) -> FrameWindow:
        source = self.source
        rate = source.clips[0].played_rate(self.options.rate) * source.together
        return builder.build(source.metric_width, source.skeleton, rate, time.perf_counter() - started)


class _Endless:
    """A live stream as Lightning takes it.

    Of an iterable without a length Lightning fetches an item ahead: a window would be worked on when the next one is
    full. So it is told one that is never reached.
    """

    def __init__(self, loader: WindowLoader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[FrameWindow]:
        return iter(self._loader)

    def __len__(self) -> int:
        return ENDLESS


def _in_step(readers: Sequence[Iterator[DecodedFrame]]) -> Iterator[tuple[DecodedFrame, ...]]:
    """Yield the frames of each instant that all cameras have; what one of them has lost is left out of the others."""
    for instant in zip(*readers, strict=False):
        frames = list(instant)
        while (newest := max(frame.number for frame in frames)) > min(frame.number for frame in frames):
            for place, reader in enumerate(readers):
                while frames[place].number < newest:
                    following = next(reader, None)
                    if following is None:
                        return
                    frames[place] = following
        yield tuple(frames)


def _by_camera(instants: Iterator[tuple[DecodedFrame, ...]], cameras: int) -> list[Iterable[DecodedFrame]]:
    """Hand each camera its frames; those of one alone are read as they are wanted."""
    if cameras == 1:
        return [(frame for (frame,) in instants)]
    return list(zip(*instants, strict=True)) or [()] * cameras


class StreamDataModule(LightningDataModule):
    """Simulate the arrival of video: one pass over a source, cut into windows, one window a batch."""

    def __init__(self, source: FrameSource, options: StreamOptions) -> None:
        super().__init__()
        self.loader = WindowLoader(source, options)

    def train_dataloader(self) -> Iterable[FrameWindow]:
        """Return the stream."""
        return _Endless(self.loader) if is_live(self.loader.source) else self.loader

    def teardown(self, stage: str) -> None:
        """Let go of cameras, where a run ends before the stream does."""
        self.loader.stop()

    def transfer_batch_to_device(self, batch: FrameWindow, device: torch.device, dataloader_idx: int) -> FrameWindow:
        """Leave the window in host memory; its frames travel to the device in batches as they are used."""
        return batch
