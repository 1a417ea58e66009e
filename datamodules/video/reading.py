"""Reading clips: how long a video is, and its frames one by one, as they are or at the sizes that a run needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from datamodules.video.clips import Clip, DecodedFrame, FrameSizes, tick
from datamodules.video.decoding import TIMEOUT, Decoded, FrameDecoder, is_shown, open_video, reason
from datamodules.video.images import read_images
from pose_oad.tracking.errors import UserError

log = logging.getLogger(__name__)

# Containers announce their length only roughly; a clip that ends this many frames early is still whole.
LENGTH_TOLERANCE = 10


def probe(place: Path | str, timeout: float = TIMEOUT, name: str = "") -> tuple[tuple[int, int], float, int]:
    """Read the header and the first frame of a file or URL, which messages call ``name``.

    Returns:
        Width and height (px) as it is to be seen, frames per second (the mean where it varies), number of frames
        (counted packet by packet where the header is silent).

    Raises:
        UserError: if it cannot be read as a video, or nothing of it can be decoded.
    """
    name = name or str(place)
    with open_video(place, timeout, name) as container:
        stream, decoder = container.streams.video[0], FrameDecoder(container)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        try:
            first = next(iter(decoder), None)
            frames = _indexed(container) or decoder.packets + sum(map(is_shown, container.demux(stream)))
        except av.FFmpegError as error:
            raise UserError(f"{name}: damaged video ({reason(error, timeout)})") from error
    if first is None:
        raise UserError(f"{name}: not a frame of it can be decoded ({decoder.error or 'it holds none'})")
    if rate <= 0:
        raise UserError(f"{name}: not a playable video (it says nothing of its frames per second)")
    return (first.frame.width, first.frame.height), rate, frames


def _indexed(container: InputContainer) -> int | None:
    """Count frames without those that an edit list hides, if the file lists all of them in one place."""
    stream = container.streams.video[0]
    if not container.format.name.startswith("mov") or not 0 < stream.frames <= len(stream.index_entries):
        return None
    return sum(not entry.is_discard for entry in stream.index_entries)


def read_frames(
    clip: Clip, rate: float | None = None, after: int | None = None, threads: int = 1
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode a clip frame by frame: source frame numbers and decoded frames, upright.

    A damaged frame is left out; those after it keep their numbers, and how many there were is said at the end. A file
    that ends more than ``LENGTH_TOLERANCE`` frames early is refused. Arguments are those of :func:`decode_frames`.
    """
    first = clip.start if after is None else after + 1
    ticks = Ticks(rate if rate is not None and rate < clip.rate else None)
    frames = read_images(clip.path, clip.names, clip.rate) if clip.names else decode_clip(clip, threads)
    for number, seconds, frame in frames:
        if number >= clip.stop:
            return
        if number < clip.start:
            continue
        # Of frames before the first one, too: it may fall into the tick of the one before it.
        begins = ticks.begins(seconds if seconds is not None else number / clip.rate)
        if begins and number >= first:
            yield number, frame


def decode_frames(
    clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None, threads: int, teacher_every: int, first: int
) -> Iterator[DecodedFrame]:
    """Decode a clip at the sizes wanted.

    Args:
        clip: what to read
        sizes: sizes wanted
        rate: camera rate, frames/s; None keeps every frame
        after: go on behind this source frame; None starts at the clip's start
        threads: decoder threads
        teacher_every: the teacher wants one frame in this many, counted in the stream
        first: number in the stream of the first frame that is read
    """
    for place, (number, frame) in enumerate(read_frames(clip, rate, after, threads), start=first):
        yield at_sizes(number, frame, sizes, place % teacher_every == 0)


def at_sizes(number: int, frame: VideoFrame, sizes: FrameSizes, for_teacher: bool) -> DecodedFrame:
    """Scale a frame to the sizes wanted, to the teacher's only if it is one for the teacher."""
    teacher = resize_frame(frame, sizes.teacher) if for_teacher and sizes.teacher else None
    return DecodedFrame(number, resize_frame(frame, sizes.student), teacher)


def resize_frame(frame: VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """Scale a decoded frame to a width and height in px: RGB uint8, shape (height, width, 3)."""
    return frame.to_ndarray(format="rgb24", width=size[0], height=size[1], interpolation="AREA")


def decode_clip(clip: Clip, threads: int = 1) -> Iterator[Decoded]:
    """Decode a video from its beginning to the clip's end."""
    place = clip.url or clip.path
    with open_video(place) as container:
        decoder = FrameDecoder(container, threads)
        try:
            for decoded in decoder:
                if decoded.number >= clip.stop:
                    break
                yield decoded
        except av.FFmpegError as error:
            raise UserError(f"{place}: damaged video after frame {decoder.number} ({reason(error)})") from error
        finally:
            if decoder.damaged:
                log.warning("%s: %d damaged frames skipped", place, decoder.damaged)
    if decoder.number + 1 < clip.stop - LENGTH_TOLERANCE:
        raise UserError(f"{place}: truncated video: ends after {decoder.number + 1} of {clip.stop} frames")


class Ticks:
    """Play frames at a lower rate: of those in each tick of a clock the first is kept.

    Args:
        rate: ticks/s; None keeps every frame
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._last: int | None = None

    def begins(self, seconds: float) -> bool:
        """Return True if a frame is the first of its tick; its time, s, is never before that of the last one."""
        if self._rate is None:
            return True
        before, self._last = self._last, tick(seconds, self._rate)
        return self._last != before
