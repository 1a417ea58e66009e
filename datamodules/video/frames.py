"""Frames of a clip at the sizes a run needs: decoded as they are asked for, or kept in a cache that runs share."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import av
import h5py
import numpy as np
from filelock import FileLock

from datamodules.video.clips import Clip, DecodedFrame, FrameSizes
from datamodules.video.reading import read_frames
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.hdf5 import reading, replacing_hdf5

log = logging.getLogger(__name__)

#: Raised whenever the same clip would give other pixels.
_VERSION = 2
_BLOCK = 128  # frames read from a cache file at once
_WHAT = "decoded frames; without it they are decoded again"


def decode_frames(
    clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None, threads: int, teacher_every: int, first: int
) -> Iterator[DecodedFrame]:
    """Decode a clip.

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
        wanted = sizes.teacher is not None and place % teacher_every == 0
        teacher = resize_frame(frame, sizes.teacher) if wanted and sizes.teacher else None
        yield DecodedFrame(number, resize_frame(frame, sizes.student), teacher)


def resize_frame(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """Scale a decoded frame to a width and height in px: RGB uint8, shape (height, width, 3)."""
    return frame.to_ndarray(format="rgb24", width=size[0], height=size[1], interpolation="AREA")


class FrameCache:
    """Decoded clips in HDF5 files, made once and read by every run that wants the same clip at the same sizes.

    A file appears under its name only when it is complete. Runs that want the same clip at the same time wait for the
    one that decodes it. The key covers the files (path, size, time of change), the stretch, the camera rate and the
    sizes; the pixels are not compressed, so that reading costs little more than copying.

    Args:
        folder: where the files are; created when first needed
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def frames(self, clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None) -> Iterator[DecodedFrame]:
        """Read a clip, decoding it first if nobody has.

        Args:
            clip: what to read
            sizes: sizes wanted; the teacher's picture is kept of every frame
            rate: camera rate, frames/s; None keeps every frame
            after: go on behind this source frame; None starts at the clip's start

        Raises:
            UserError: if the video cannot be read or the cache not be written, or the clip is no file.
        """
        path = self._file(clip, sizes, rate)
        with reading(path, _WHAT) as file:
            numbers = file["numbers"][:]
            begin = 0 if after is None else int(np.searchsorted(numbers, after, side="right"))
            for start in range(begin, len(numbers), _BLOCK):
                rows = slice(start, start + _BLOCK)
                students = file["student"][rows]
                teachers = file["teacher"][rows] if "teacher" in file else [None] * len(students)
                yield from map(DecodedFrame, numbers[rows].tolist(), students, teachers)

    def _file(self, clip: Clip, sizes: FrameSizes, rate: float | None) -> Path:
        """Return the file of a clip, made if it is missing or cannot be opened."""
        check(not clip.url, "window.cache", self.folder, f"null: {clip.url} can change unseen")
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
                    self._write(path, clip, sizes, rate)
        except OSError as error:
            raise UserError(f"window.cache={self.folder}: cannot keep decoded frames there ({error})") from error
        return path

    def _write(self, path: Path, clip: Clip, sizes: FrameSizes, rate: float | None) -> None:
        with replacing_hdf5(path) as file:
            numbers = file.create_dataset("numbers", (0,), np.int64, maxshape=(None,), chunks=(4096,))
            pixels = {"student": sizes.student} | ({"teacher": sizes.teacher} if sizes.teacher else {})
            for name, (width, height) in pixels.items():
                shape = (height, width, 3)
                file.create_dataset(name, (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(16, *shape))
            frames = decode_frames(clip, sizes, rate, None, 1, 1, 0)
            while block := list(itertools.islice(frames, _BLOCK)):
                for name in pixels:
                    _append(file[name], np.stack([getattr(frame, name) for frame in block]))
                _append(numbers, np.array([frame.number for frame in block]))


def _append(dataset: h5py.Dataset, rows: np.ndarray) -> None:
    begin = len(dataset)
    dataset.resize(begin + len(rows), axis=0)
    dataset[begin:] = rows


def _whole(path: Path) -> bool:
    """Whether a cache file is there and can be opened; a damaged one is made again."""
    if not path.exists():
        return False
    try:
        with reading(path, _WHAT) as file:
            lengths = {len(file[name]) for name in ("numbers", *file)}
            if len(lengths) == 1:
                return True
    except UserError as error:
        log.debug("%s", error)
    log.warning("%s: damaged, decoded again", path)
    return False
