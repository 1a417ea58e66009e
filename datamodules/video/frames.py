"""Decoded frames in HDF5 files: how they are written and read, and a cache of them that runs share.

- ``<width>x<height>``: RGB uint8, shape (frames, height, width, 3), for each size
- ``number``: source frame of each, shape (frames,); ``time`` (s) likewise, where a lower rate is to be read
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from av.video.frame import VideoFrame
from filelock import FileLock

from datamodules.video.clips import Clip, DecodedFrame, FrameSizes
from datamodules.video.reading import Ticks, read_frames, resize_frame
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.hdf5 import reading, replacing_hdf5

log = logging.getLogger(__name__)

#: Raised whenever the same clip would give another file.
_VERSION = 3
_CHUNK_BYTES = 2**20
_BLOCK = 64  # frames read or written at once, about
_WHAT = "decoded frames; without it they are decoded again"


def size_key(size: tuple[int, int]) -> str:
    """Name frames of a size: ``256x256``."""
    return f"{size[0]}x{size[1]}"


def _chunk_length(size: tuple[int, int]) -> int:
    return max(1, _CHUNK_BYTES // (size[0] * size[1] * 3))


def _block_length(size: tuple[int, int]) -> int:
    """Return how many frames of a width and height (px) to read or write at once: whole chunks."""
    chunk = _chunk_length(size)
    return chunk * max(1, _BLOCK // chunk)


def write_frames(
    group: h5py.Group,
    frames: Iterator[tuple[int, VideoFrame]],
    sizes: Sequence[tuple[int, int]],
    most: int,
    compression: str | None = None,
) -> int:
    """Write decoded frames with their numbers at some sizes; return how many there were.

    Args:
        group: where to
        frames: decoded frames with their numbers
        sizes: width and height of each, px, without repetition
        most: more frames than this there are not
        compression: None or ``lzf``
    """
    for width, height in sizes:
        rows = min(_chunk_length((width, height)), most)
        group.create_dataset(
            size_key((width, height)), (0, height, width, 3), np.uint8, chunks=(rows, height, width, 3),
            maxshape=(most, height, width, 3), compression=compression, fill_time="never",
        )  # fmt: skip
    numbers: list[int] = []
    scaled = ((number, [resize_frame(frame, size) for size in sizes]) for number, frame in frames)
    while block := list(itertools.islice(scaled, _block_length(sizes[0]))):
        first = len(numbers)
        numbers += [number for number, _ in block]
        for size, pixels in zip(sizes, zip(*(images for _, images in block), strict=True), strict=True):
            group[size_key(size)].resize(len(numbers), axis=0)
            group[size_key(size)][first:] = np.stack(pixels)
    group.create_dataset("number", data=np.array(numbers, np.int64), fletcher32=True)
    return len(numbers)


def stored_frames(
    group: h5py.Group, clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None
) -> Iterator[DecodedFrame]:
    """Read a clip's stretch as :func:`~datamodules.video.reading.decode_frames` would, from what was written."""
    numbers = group["number"][:]
    begin, end = np.searchsorted(numbers, [clip.start, clip.stop])
    positions = np.arange(begin, end)
    if rate is not None and rate < clip.rate:
        ticks = Ticks(rate)
        positions = positions[[ticks.begins(seconds) for seconds in group["time"][begin:end].tolist()]]
    if after is not None:
        positions = positions[numbers[positions] > after]
    student = group[size_key(sizes.student)]
    teacher = group[size_key(sizes.teacher)] if sizes.teacher else None
    # Cut where the chunks of the file are.
    for block in np.split(positions, np.flatnonzero(np.diff(positions // _block_length(sizes.student))) + 1):
        if len(block):
            teachers = [None] * len(block) if teacher is None else _rows(teacher, block)
            yield from map(DecodedFrame, numbers[block].tolist(), _rows(student, block), teachers)


def _rows(pixels: h5py.Dataset, positions: np.ndarray) -> np.ndarray:
    """Read neighbouring frames, shape (positions, height, width, 3)."""
    stretch = pixels[int(positions[0]) : int(positions[-1]) + 1]
    return stretch if len(stretch) == len(positions) else stretch[positions - positions[0]]


class FrameCache:
    """Decoded clips in HDF5 files, made once and read by every run that wants the same clip at the same sizes.

    A file appears under its name only when it is complete. Runs that want the same clip at the same time wait for the
    one that decodes it. The key covers the files (path, size, time of change), the stretch, the camera rate and the
    sizes; the pixels are not compressed, so that reading costs little more than copying.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def frames(self, clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None) -> Iterator[DecodedFrame]:
        """Read a clip, decoding it first if nobody has; the teacher's picture is kept of every frame.

        Arguments are those of :func:`~datamodules.video.reading.decode_frames`.
        """
        path = self._file(clip, sizes, rate)
        with reading(path, _WHAT) as file:
            yield from stored_frames(file, clip, sizes, None, after)

    def _file(self, clip: Clip, sizes: FrameSizes, rate: float | None) -> Path:
        """Return the file of a clip, made if it is missing or cannot be opened."""
        if clip.url:
            raise UserError(f"window.cache={self.folder}: expected null: {clip.url} can change unseen")
        facts = [(path.stat().st_size, path.stat().st_mtime_ns) for path in (clip.path, *clip.images)]
        key = json.dumps(
            [_VERSION, str(clip.path.resolve()), clip.names, facts, clip.start, clip.stop, rate, sizes.student,
             sizes.teacher]
        )  # fmt: skip
        path = self.folder / f"{clip.path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.h5"
        if _whole(path):
            return path
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not _whole(path):
                    wanted = [size for size in (sizes.student, sizes.teacher) if size is not None]
                    with replacing_hdf5(path) as file:
                        write_frames(file, read_frames(clip, rate), list(dict.fromkeys(wanted)), clip.stop)
        except OSError as error:
            raise UserError(f"window.cache={self.folder}: cannot keep decoded frames there ({error})") from error
        return path


def _whole(path: Path) -> bool:
    """Return True if a cache file is there and can be opened; a damaged one is made again."""
    if not path.exists():
        return False
    try:
        with reading(path, _WHAT) as file:
            if len({len(file[name]) for name in ("number", *file)}) == 1:
                return True
    except UserError as error:
        log.debug("%s", error)
    log.warning("%s: damaged, decoded again", path)
    return False
