"""One HDF5 file for each recording: poses, camera, and frames decoded beforehand.

- ``frame``: number of each frame in the original, shape (frames,)
- ``pose/2d``: px, float32, shape (frames, 32, 2); ``pose/world`` and ``pose/camera``: mm, (frames, 32, 3), where there
- ``camera``: a group whose attributes are the camera's parameters (:mod:`~datamodules.human36m.cameras`)
- ``frames``: those that could be decoded, at one size (:mod:`~datamodules.video.frames`)
- attributes: who, what and how fast, the joints and their parents, ``made_from`` (the files and options that decide
  what is in it) and ``complete``, which is written last

The file appears under its name only when it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from av.video.frame import VideoFrame

from datamodules.human36m.cameras import CameraParameters
from datamodules.human36m.names import PARENTS, RecordingName
from datamodules.human36m.recordings import PoseKind
from datamodules.video.clips import Clip
from datamodules.video.frames import write_frames
from datamodules.video.images import read_images
from datamodules.video.reading import decode_clip
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.tracking.hdf5 import replacing_hdf5

#: Raised whenever the same recording would give another file.
VERSION = 1


def write_cache_file(
    path: Path,
    name: RecordingName,
    clip: Clip,
    poses: Mapping[PoseKind, np.ndarray],
    camera: CameraParameters | None,
    size: tuple[int, int] | None,
    compression: str | None,
    made_from: Mapping[str, Any],
) -> int:
    """Write one file; it appears when it is complete. Return how many frames could not be decoded and are not kept.

    Args:
        path: where to; its folder is made
        name: of the recording
        clip: all of its frames
        poses: by kind, shape (at least as many frames, 32, 2 or 3), px or mm
        camera: parameters of the camera; None where they are not known
        size: width and height of the frames to keep, px; None keeps none
        compression: of the frames: None or ``lzf``
        made_from: what decides about all that, as plain values

    Raises:
        UserError: if the frames cannot be decoded, or the file not be written.
    """
    facts = {
        "version": VERSION, "subject": name.subject, "action": name.action, "title": name.title,
        "camera": name.camera, "rate": clip.rate, "frame_size": clip.frame_size, "video": str(clip.path.resolve()),
        "images": bool(clip.names), "joints": list(get_skeleton("human36m-32").joints), "parents": PARENTS,
        "made_from": json.dumps(made_from),
    }  # fmt: skip
    lost, first = 0, int(clip.names[0].removeprefix("img_").removesuffix(".jpg")) if clip.names else 0
    with replacing_hdf5(path) as file:
        file.attrs.update(facts)
        file.create_dataset("frame", data=first + np.arange(clip.stop), fletcher32=True)
        for kind, values in poses.items():
            file.create_dataset(f"pose/{kind}", data=values[: clip.stop], fletcher32=True)
        if camera is not None:
            file.create_group("camera").attrs.update(camera.to_dict())
        if size is not None:
            lost = _write_frames(file.create_group("frames"), clip, size, compression)
        file.flush()
        file.attrs["complete"] = True
    return lost


def _write_frames(group: h5py.Group, clip: Clip, size: tuple[int, int], compression: str | None) -> int:
    """Write the frames; return how many could not be decoded."""
    times: list[float] = []

    def timed() -> Iterator[tuple[int, VideoFrame]]:
        frames = read_images(clip.path, clip.names, clip.rate) if clip.names else decode_clip(clip)
        for number, seconds, frame in frames:
            times.append(number / clip.rate if seconds is None else seconds)
            yield number, frame

    written = write_frames(group, timed(), [size], clip.stop, compression)
    group.create_dataset("time", data=np.array(times), fletcher32=True)
    return clip.stop - written
