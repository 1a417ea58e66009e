"""Frames of a video, a folder of images or a camera, and batches of them at the sizes that readers want."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pose_oad.errors import UserError, check
from pose_oad.geometry import FrameFit

#: Suffixes of the images in a folder.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_TIMEOUT = 10.0  # s that a camera or a server may be silent


@dataclass(frozen=True)
class Footage:
    """Frames one after another, and what is known before they are read.

    Attributes:
        size: width and height of the first frame, px; images of a folder may differ
        rate: frames/s
        frames: how many there are; None where nobody knows
        read: decodes them, in order
        images: the files, where every frame is one of its own
        live: whether it goes on until it is interrupted
    """

    size: tuple[int, int]
    rate: Fraction
    frames: int | None
    read: Callable[[], Iterator[VideoFrame]]
    images: tuple[Path, ...] = ()
    live: bool = False


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder, sorted by name.

    Raises:
        UserError: if there is none.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    check(bool(paths), "source", folder, f"a folder with images in it ({', '.join(IMAGE_SUFFIXES)})")
    return paths


def open_images(paths: Sequence[Path], rate: float) -> Footage:
    """Take image files for footage.

    Args:
        paths: the files, at least one
        rate: images/s

    Raises:
        UserError: if the first one cannot be decoded; the others are read later.
    """
    first = decode_image(paths[0])
    size = (first.width, first.height)
    speed = Fraction(rate).limit_denominator(1001)
    return Footage(size, speed, len(paths), lambda: map(decode_image, paths), tuple(paths))


def decode_image(path: Path) -> VideoFrame:
    """Decode an image file, as stored: an orientation that a camera noted beside the pixels is not applied.

    Raises:
        UserError: if it cannot be decoded.
    """
    try:
        # An open file, not its name: FFmpeg takes a percent sign in a name for a pattern.
        with path.open("rb") as file, av.open(file, "r") as container:
            return next(container.decode(video=0))
    except (av.FFmpegError, OSError, StopIteration, IndexError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UserError(f"{path}: cannot be decoded as an image ({reason})") from error


def open_live(source: str) -> Footage:
    """Open a camera by its number, or a URL.

    Args:
        source: number of a camera (video4linux), or any URL that FFmpeg opens

    Raises:
        UserError: if it does not answer, or sends no video.
    """
    camera = source.isdigit()
    place, kind = (f"/dev/video{source}", "v4l2") if camera else (source, None)
    try:
        container = av.open(place, format=kind, timeout=_TIMEOUT)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"source={source}: cannot be opened as a camera or a URL ({reason})") from error
    check(bool(container.streams.video), "source", source, "something with a video stream")
    stream = container.streams.video[0]
    rate = stream.average_rate or stream.guessed_rate
    check(bool(rate), "source", source, "a video that says how many frames it has per second")
    number = 0

    def read() -> Iterator[VideoFrame]:
        nonlocal number
        try:
            with container:
                for number, frame in enumerate(container.decode(stream)):  # noqa: B007 (read in the message below)
                    yield frame
        except av.FFmpegError as error:
            raise UserError(f"source={source}: lost after frame {number} ({error.strerror or error})") from error

    size = (stream.codec_context.width, stream.codec_context.height)
    endless = camera or container.duration is None
    return Footage(size, Fraction(rate or 1), stream.frames or None, read, live=endless)


@dataclass(frozen=True)
class Batch:
    """Some frames, as everybody wants them.

    Attributes:
        first: number of the first frame
        sizes: width and height of each original frame, px
        inputs: for every reader RGB uint8 of each frame, shape (height, width, 3), at the reader's size; empty for a
            reader that reads no pixels
        pictures: the original frames; empty where nobody draws
    """

    first: int
    sizes: list[tuple[int, int]] = field(default_factory=list)
    inputs: tuple[list[np.ndarray], ...] = ()
    pictures: list[VideoFrame] = field(default_factory=list)


def read_batches(
    frames: Iterator[VideoFrame],
    fits: Sequence[Callable[[tuple[int, int]], FrameFit | None]],
    batch_size: int,
    keep_pictures: bool,
) -> Iterator[Batch]:
    """Batch frames.

    Args:
        frames: decoded frames
        fits: how a frame of some size lies in each reader's input; None for a reader that reads no pixels
        batch_size: frames in a batch; the last one may be shorter
        keep_pictures: whether the original frames are kept too
    """
    places = [_Placement(fit) for fit in fits]
    first = 0
    while taken := list(islice(frames, batch_size)):
        yield Batch(
            first,
            [(frame.width, frame.height) for frame in taken],
            tuple([image for frame in taken if (image := place(frame)) is not None] for place in places),
            taken if keep_pictures else [],
        )
        first += len(taken)


class _Placement:
    """Puts frames into a network's input; keeps what FFmpeg's scaler has prepared for frames of the same kind."""

    def __init__(self, fit: Callable[[tuple[int, int]], FrameFit | None]) -> None:
        self._fit, self._scaler = fit, VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray | None:
        fit = self._fit((frame.width, frame.height))
        if fit is None:
            return None
        left, top, width, height = fit.content
        scaled = self._scaler.reformat(frame, width, height, "rgb24", interpolation="AREA", threads=1)
        pixels = np.asarray(scaled.to_ndarray())
        if (width, height) == fit.input_size:
            return pixels
        canvas = np.zeros((fit.input_size[1], fit.input_size[0], 3), np.uint8)
        canvas[top : top + height, left : left + width] = pixels
        return canvas
