"""One HDF5 file for each recording: poses, camera, and frames decoded beforehand.

- ``frame``: number of each frame in the original, shape (frames,)
- ``pose/2d``: px, float32, shape (frames, 32, 2); ``pose/world`` and ``pose/camera``: mm, (frames, 32, 3), where there
- ``camera``: a group whose attributes are the camera's parameters (:mod:`~datamodules.human36m.cameras`)
- ``frames/<width>x<height>``: RGB uint8, shape (decoded frames, height, width, 3), with ``frames/number`` and
  ``frames/time`` (s), which a video that ends a little early has fewer of
- attributes: who, what and how fast, the joints and their parents, ``made_from`` (the files and options that decide
  what is in it) and ``complete``, which is written last

The file appears under its name only when it is complete.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datamodules.human36m.cameras import CameraParameters
from datamodules.human36m.names import PARENTS, RecordingName
from datamodules.human36m.recordings import PoseKind
from datamodules.video.clips import Clip
from datamodules.video.frames import resize_frame
from datamodules.video.images import read_images
from datamodules.video.reading import decode_clip
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.tracking.hdf5 import replacing_hdf5

#: Raised whenever the same recording would give another file.
VERSION = 1
_CHUNK_BYTES = 2**20
_BLOCK = 64  # frames read or written at once, about


@dataclass(frozen=True)
class Contents:
    """What goes into a file.

    Attributes:
        name: of the recording
        clip: all of its frames
        poses: by kind, shape (at least as many frames, 32, 2 or 3), px or mm
        camera: parameters of the camera; None where they are not known
        size: width and height of the frames to keep, px; None keeps none
        compression: of the frames: None or ``lzf``
        made_from: what decides about all that, as plain values
    """

    name: RecordingName
    clip: Clip
    poses: Mapping[PoseKind, np.ndarray]
    camera: CameraParameters | None
    size: tuple[int, int] | None
    compression: str | None
    made_from: Mapping[str, Any]


def size_key(size: tuple[int, int]) -> str:
    """Name frames of a size: ``256x256``."""
    return f"{size[0]}x{size[1]}"


def block_length(size: tuple[int, int]) -> int:
    """Return how many frames of a width and height (px) to read or write at once: whole chunks."""
    chunk = _chunk_length(size)
    return chunk * max(1, _BLOCK // chunk)


def _chunk_length(size: tuple[int, int]) -> int:
    return max(1, _CHUNK_BYTES // (size[0] * size[1] * 3))


def write_cache_file(path: Path, contents: Contents) -> int:
    """Write one file; it appears when it is complete.

    Args:
        path: where to; its folder exists
        contents: what to write

    Returns:
        How many frames are not kept because they could not be decoded.

    Raises:
        UserError: if the frames cannot be decoded, or the file not be written.
    """
    lost = 0
    with replacing_hdf5(path) as file:
        _write_annotations(file, contents)
        if contents.size is not None:
            lost = _write_frames(file.create_group("frames"), contents.clip, contents.size, contents.compression)
        file.flush()
        file.attrs["complete"] = True
    return lost


def _write_annotations(file: h5py.File, contents: Contents) -> None:
    clip, name = contents.clip, contents.name
    facts = {
        "version": VERSION, "subject": name.subject, "action": name.action, "title": name.title,
        "camera": name.camera, "rate": clip.rate, "frame_size": clip.frame_size, "video": str(clip.path.resolve()),
        "images": bool(clip.names), "joints": list(get_skeleton("human36m-32").joints), "parents": PARENTS,
        "made_from": json.dumps(contents.made_from),
    }  # fmt: skip
    for key, value in facts.items():
        file.attrs[key] = value
    first = int(clip.names[0].removeprefix("img_").removesuffix(".jpg")) if clip.names else 0
    file.create_dataset("frame", data=first + np.arange(clip.stop), fletcher32=True)
    for kind, poses in contents.poses.items():
        file.create_dataset(f"pose/{kind}", data=poses[: clip.stop], fletcher32=True)
    if contents.camera is not None:
        group = file.create_group("camera")
        for key, value in contents.camera.to_dict().items():
            group.attrs[key] = value


def _write_frames(group: h5py.Group, clip: Clip, size: tuple[int, int], compression: str | None) -> int:
    width, height = size
    pixels = group.create_dataset(
        size_key(size),
        (clip.stop, height, width, 3),
        np.uint8,
        chunks=(min(_chunk_length(size), clip.stop), height, width, 3),
        maxshape=(clip.stop, height, width, 3),
        compression=compression,
        fill_time="never",
    )
    numbers: list[int] = []
    times: list[float] = []
    frames = read_images(clip.path, clip.names, clip.rate) if clip.names else decode_clip(clip)
    block = np.empty((min(block_length(size), clip.stop), height, width, 3), np.uint8)
    while True:
        first = len(numbers)
        for row, (number, seconds, frame) in enumerate(itertools.islice(frames, len(block))):
            block[row] = resize_frame(frame, size)
            numbers.append(number)
            times.append(number / clip.rate if seconds is None else seconds)
        if len(numbers) == first:
            break
        pixels[first : len(numbers)] = block[: len(numbers) - first]
    pixels.resize(len(numbers), axis=0)
    group.create_dataset("number", data=np.array(numbers), fletcher32=True)
    group.create_dataset("time", data=np.array(times), fletcher32=True)
    return clip.stop - len(numbers)
