"""Trees of the h36m-fetch tool: an HDF5 file of annotations for each sequence, and a JPEG file for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.human36m.names import FRAME_RATE, RecordingName, parse_name
from datamodules.human36m.recordings import PoseKind
from datamodules.human36m.tree import file_facts, with_confidence
from datamodules.video.clips import Clip
from datamodules.video.images import image_size
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.hdf5 import reading

_ANNOTATIONS, _IMAGES = "annot.h5", "imageSequence"
_DATASETS: dict[PoseKind, str] = {"2d": "pose/2d", "camera": "pose/3d"}


@dataclass(frozen=True)
class FetchRecording:
    """A recording as h36m-fetch leaves it."""

    name: RecordingName  #: what it shows
    annotations: Path  #: the HDF5 file, in which the cameras stand one after another
    footage: Path  #: folder of the camera's frames

    def clip(self) -> tuple[Clip, str]:
        """Open it; see :class:`~datamodules.human36m.recordings.Recording`.

        Raises:
            UserError: if it is not a stream, because frames were left out, or if a file is missing or damaged.
        """
        numbers = self._rows("frame").astype(np.int64).ravel()
        if not len(numbers):
            raise UserError(f"{self.annotations}: has no frame of camera {self.name.camera}")
        gaps = np.flatnonzero(np.diff(numbers) != 1)
        if len(gaps):
            before, behind = numbers[gaps[0]], numbers[gaps[0] + 1]
            raise UserError(f"{self.annotations}: frame {behind} follows {before}; expected all of {self.name.key}")
        names = tuple(f"img_{number:06d}.jpg" for number in numbers)
        there = {path.name for path in self.footage.glob("img_*.jpg")}
        for name in names:
            if name not in there:
                raise UserError(f"{self.footage / name}: no such file, though {self.annotations} lists its frame")
        size = image_size(self.footage / names[0])
        key, stop, labels = self.name.key, len(numbers), self.name.labels
        return Clip(key, self.footage, size, FRAME_RATE, 0, stop, self.truth, labels, names=names), ""

    def truth(self) -> np.ndarray:
        """Read the 2-D poses as a clip's ground truth, shape (frames, 1 person, 32, 3); float32."""
        return with_confidence(self.poses("2d"))

    def has(self, kind: PoseKind) -> bool:
        """Return True if there are poses of a kind (the tool keeps none in world coordinates)."""
        return kind in _DATASETS

    def poses(self, kind: PoseKind) -> np.ndarray:
        """Read poses; see :class:`~datamodules.human36m.recordings.Original`."""
        poses = self._rows(_DATASETS[kind]).astype(np.float32)
        axes = 2 if kind == "2d" else 3
        if poses.shape[1:] != (32, axes) or not np.isfinite(poses).all():
            raise UserError(f"{self.annotations}: {_DATASETS[kind]} {poses.shape}: expected finite (n, 32, {axes})")
        return poses

    def facts(self) -> dict[str, Any]:
        """Return name, size and time of change of its files, the images together."""
        stats = [path.stat() for path in self.footage.glob("img_*.jpg")]
        sizes, times = sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)
        return {"annotations": file_facts(self.annotations), "images": [len(stats), sizes, times]}

    def _rows(self, dataset: str) -> np.ndarray:
        with reading(self.annotations, "h36m-fetch's annotations") as file:
            cameras, values = np.asarray(file["camera"][:]).ravel(), np.asarray(file[dataset][:])
        if len(cameras) != len(values):
            raise UserError(f"{self.annotations}: {len(values)} rows of {dataset} for {len(cameras)} of camera")
        return values[cameras == int(self.name.camera)]


class FetchTree:
    """A tree of h36m-fetch.

    Args:
        root: folder that holds ``processed`` or, in its place, ``S1``, ``S5``, …
    """

    def __init__(self, root: Path) -> None:
        processed = root / "processed"
        self.root = processed if processed.is_dir() else root

    @classmethod
    def found_in(cls, folder: Path) -> bool:
        """Return True if a folder holds such a tree."""
        return any(cls(folder).root.glob(f"S*/*/{_ANNOTATIONS}"))

    def subjects(self) -> list[str]:
        """Subjects that have annotations."""
        return sorted({path.parts[-3] for path in self.root.glob(f"S*/*/{_ANNOTATIONS}")})

    def recordings(self, subject: str) -> list[FetchRecording]:
        """List what a subject has annotations and a folder of images of."""
        return [
            FetchRecording(name, annotations, images)
            for annotations in sorted((self.root / subject).glob(f"*/{_ANNOTATIONS}"))
            for images in sorted((annotations.parent / _IMAGES).glob("*"))
            if (name := parse_name(subject, f"{annotations.parent.name}.{images.name}")) is not None
        ]
