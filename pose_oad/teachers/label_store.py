"""Labels of one video by one teacher, kept in HDF5 files."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pose_oad.teachers.base import Labels
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.hdf5 import reading, replacing_hdf5

log = logging.getLogger(__name__)

_FORMAT = 1
_WHAT = "labels"


@dataclass(frozen=True)
class FrameLabels:
    """The labels of one frame."""

    keypoints: Tensor  #: shape (people, joints, 3): px of the original frame and confidence
    #: confidence maps, shape (joints, rows, columns), and part affinity fields, shape (limbs, 2, rows, columns); None
    #: where they are not kept or the teacher has none
    maps: tuple[Tensor, Tensor] | None = None


class LabelStore:
    """A folder of files, each with the labels that were made at one time.

    A file appears when it is complete and never changes, so that runs can share a folder and nothing is lost but what
    was not yet written when one of them dies. Keypoints are held in memory; maps are read when they are wanted.
    ``kept`` are the numbers of the frames whose labels were there before.
    """

    def __init__(self, folder: Path, joints: int) -> None:
        self.folder, self._joints = folder, joints
        self._keypoints: dict[int, Tensor] = {}
        self._maps: dict[int, tuple[Path, int]] = {}
        self._without_maps: set[int] = set()  # frames whose teacher has none
        for path in sorted(folder.glob("*.h5")):
            self._index(path)
        self.kept = frozenset(self._keypoints)

    def get(self, number: int, with_maps: bool) -> FrameLabels | None:
        """Return the labels of a frame; None if they are not there, or their maps are wanted and not there."""
        keypoints = self._keypoints.get(number)
        if keypoints is None or not with_maps or number in self._without_maps:
            return None if keypoints is None else FrameLabels(keypoints)
        if number not in self._maps:
            return None
        path, row = self._maps[number]
        try:
            with reading(path, _WHAT) as file:
                maps, fields = (torch.from_numpy(file[name][row]) for name in ("confidence_maps", "fields"))
        except UserError as error:
            log.warning("%s; its frames are labelled again", error)
            return None
        return FrameLabels(keypoints, (maps, fields))

    def add(self, numbers: np.ndarray, labels: Labels, with_maps: bool, about: str) -> None:
        """Write the labels of some frames to a file of their own; of no frames, none.

        Args:
            numbers: their numbers in the video, int64, shape (frames,)
            labels: what the teacher says
            with_maps: whether its maps are kept
            about: who the teacher is, for people who look into the file
        """
        if not len(numbers):
            return
        people = [frame[(frame[..., 2] > 0).any(-1)] for frame in labels.keypoints]
        path = self.folder / f"{uuid.uuid4().hex}.h5"
        # Checksums over the numbers too (fletcher32): HDF5 can crash on damage that it does not see.
        with replacing_hdf5(path) as file:
            file.attrs["format"], file.attrs["teacher"] = _FORMAT, about
            file.create_dataset("numbers", data=numbers, fletcher32=True)
            file.create_dataset("people", data=np.array([len(frame) for frame in people]), fletcher32=True)
            file.create_dataset("keypoints", data=torch.cat(people).numpy(), fletcher32=True)
            maps, fields = labels.confidence_maps, labels.part_affinity_fields
            file.attrs["has_maps"] = maps is not None and fields is not None
            if with_maps and maps is not None and fields is not None:
                for name, planes in (("confidence_maps", maps), ("fields", fields)):
                    chunks = (1, *planes.shape[1:])
                    file.create_dataset(name, data=planes.numpy(), chunks=chunks, fletcher32=True)
        self._index(path)

    def _index(self, path: Path) -> None:
        """Take the labels of a file in; a damaged one is passed over."""
        try:
            with reading(path, _WHAT) as file:
                if file.attrs["format"] != _FORMAT:
                    raise ValueError(f"format {file.attrs['format']}")
                numbers, people, keypoints = (file[name][()] for name in ("numbers", "people", "keypoints"))
                has_maps, with_maps = bool(file.attrs["has_maps"]), "confidence_maps" in file
                if keypoints.shape != (people.sum(), self._joints, 3) or len(people) != len(numbers):
                    raise ValueError(f"keypoints {keypoints.shape}")
                frames = torch.from_numpy(keypoints).float().split(people.tolist())
                rows = {int(number): row for row, number in enumerate(numbers.tolist())}
        except UserError as error:
            log.warning("damaged: %s; its frames are labelled again", error)
            return
        self._keypoints.update({number: frames[row] for number, row in rows.items()})
        if not has_maps:
            self._without_maps.update(rows)
        if with_maps:
            self._maps.update({number: (path, row) for number, row in rows.items()})
