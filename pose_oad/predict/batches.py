"""Batches of frames at the sizes that readers want."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pose_oad.poses.geometry import FrameResize


@dataclass(frozen=True)
class Batch:
    """Some neighbouring frames, as everybody wants them.

    Attributes:
        first: number of the first frame; the others follow it without a gap
        sizes: width and height of each original frame, px
        inputs: RGB uint8, shape (height, width, 3), of each frame by reader; empty for one that reads no pixels
        pictures: the original frames; empty where nobody draws
    """

    first: int
    sizes: list[tuple[int, int]] = field(default_factory=list)
    inputs: tuple[list[np.ndarray], ...] = ()
    pictures: list[VideoFrame] = field(default_factory=list)


def read_batches(
    frames: Iterator[tuple[int, VideoFrame]],
    resizes: Sequence[Callable[[tuple[int, int]], FrameResize | None]],
    batch_size: int,
    keep_pictures: bool,
) -> Iterator[Batch]:
    """Batch frames as they lie in each reader's input (None: it reads no pixels); a gap in the numbers ends a batch."""
    places = [Placement(resize) for resize in resizes]
    for first, taken in _neighbours(frames, batch_size):
        yield Batch(
            first,
            [(frame.width, frame.height) for frame in taken],
            tuple([image for frame in taken if (image := place(frame)) is not None] for place in places),
            taken if keep_pictures else [],
        )


def _neighbours(frames: Iterator[tuple[int, VideoFrame]], most: int) -> Iterator[tuple[int, list[VideoFrame]]]:
    """Group frames whose numbers follow each other, with the first number."""
    first, taken = 0, list[VideoFrame]()
    for number, frame in frames:
        if taken and number != first + len(taken):
            yield first, taken
            taken = []
        first = first if taken else number
        taken.append(frame)
        if len(taken) == most:
            yield first, taken
            taken = []
    if taken:
        yield first, taken


class Placement:
    """Puts frames into a network's input; keeps what FFmpeg's scaler has prepared for frames of the same kind.

    Args:
        resize: how a frame of some size lies in the input; None: no pixels are read
    """

    def __init__(self, resize: Callable[[tuple[int, int]], FrameResize | None]) -> None:
        self._resize, self._scaler = resize, VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray | None:
        """Return RGB uint8, shape (height, width, 3), as the input takes it; None where it reads no pixels."""
        resize = self._resize((frame.width, frame.height))
        if resize is None:
            return None
        left, top, width, height = resize.content
        scaled = self._scaler.reformat(frame, width, height, "rgb24", interpolation="AREA", threads=1)
        pixels = np.asarray(scaled.to_ndarray())
        if (width, height) == resize.input_size:
            return pixels
        canvas = np.zeros((resize.input_size[1], resize.input_size[0], 3), np.uint8)
        canvas[top : top + height, left : left + width] = pixels
        return canvas
