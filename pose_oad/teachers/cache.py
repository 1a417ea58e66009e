"""A teacher whose labels are kept on disk, in HDF5 files: a second run over the same video does not ask it again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pose_oad.teachers.base import Labels, Origin, Teacher, TeacherAround, TeacherRequest, stack_people
from pose_oad.teachers.identity import content_hash
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


# Raised whenever the same network would label the same frame otherwise: pre-processing, decoding of maps.
_VERSION = 1


class CachedTeacher(TeacherAround):
    """A teacher that is asked only about frames that nobody has asked it about before.

    What counts as the same frame is the content of the video and the frame's number in it, not the file's name, and of
    a folder of images its content and the image's name in it; what counts as the same teacher is ``settings``
    (:func:`pose_oad.teachers.identity.settings_key`). Frames of a camera are never seen again: their labels are not
    kept. The budget of a query strategy is spent all the same, whether a label is new or kept.
    """

    def __init__(self, teacher: Teacher, folder: Path, settings: str, keep_maps: bool = False) -> None:
        super().__init__(teacher)
        self._folder, self._settings, self._keep_maps = folder, settings, keep_maps
        self._stores: dict[tuple[Path, tuple[int, int]], LabelStore] = {}

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames, as far as possible with what is known."""
        origin = request.origin
        if origin is None or origin.path is None or not origin.path.exists():
            return self._teacher.label(request)
        store = self._store(origin, origin.path, request.frame_size)
        kept_by = _numbers(origin)
        numbers = kept_by.tolist()
        known = [store.get(number, self._keep_maps) for number in numbers]
        missing = np.array([row for row, frame in enumerate(known) if frame is None], dtype=np.int64)
        # Those that this run has made, for evaluation perhaps, have cost it a call.
        kept = sum(frame is not None and number in store.kept for number, frame in zip(numbers, known, strict=True))
        counts = {"labels_from_cache": kept}
        unusable = torch.zeros(len(known), dtype=torch.bool)
        if len(missing):
            labels = self._teacher.label(request.take(missing))
            counts |= labels.counts
            frames = _by_frame(labels, self._keep_maps)
            if labels.unusable is not None:  # what could not be labelled may be another time
                unusable[missing] = labels.unusable
            usable = ~unusable[missing].numpy()
            store.add(kept_by[missing[usable]], _rows(labels, usable), self._keep_maps, self._settings)
            for row, frame in zip(missing.tolist(), frames, strict=True):
                known[row] = frame
        joined = _together([frame for frame in known if frame is not None], len(self.skeleton))
        return replace(joined, counts=counts, unusable=unusable if unusable.any() else None)

    def _store(self, origin: Origin, path: Path, frame_size: tuple[int, int]) -> LabelStore:
        if (path, frame_size) not in self._stores:
            # The frame's size is part of the key: it says which way up a video was read.
            key = json.dumps([_VERSION, self._settings, content_hash(path), frame_size, self.image_size(frame_size)])
            digest = hashlib.sha256(key.encode()).hexdigest()[:20]
            folders = sorted(self._folder.glob(f"*-{digest}"))  # made under whatever name the video had
            folder = folders[0] if folders else self._folder / f"{origin.clip.replace('/', ' ')}-{digest}"
            self._stores[path, frame_size] = LabelStore(folder, len(self.skeleton))
        return self._stores[path, frame_size]


def _numbers(origin: Origin) -> np.ndarray:
    """Return the numbers under which labels are kept, int64, shape (frames,).

    Those of images are made of their names: which number an image has depends on who lists the folder.
    """
    if not origin.names:
        return origin.numbers
    digests = [hashlib.sha256(os.fsencode(name)).digest() for name in origin.names]
    return np.array([int.from_bytes(digest[:8], signed=True) for digest in digests], dtype=np.int64)


def _by_frame(labels: Labels, with_maps: bool) -> list[FrameLabels]:
    maps, fields = labels.confidence_maps, labels.part_affinity_fields
    if not with_maps or maps is None or fields is None:
        return [FrameLabels(keypoints) for keypoints in labels.keypoints]
    return [FrameLabels(people, pair) for people, *pair in zip(labels.keypoints, maps, fields, strict=True)]  # type: ignore[arg-type]


def _rows(labels: Labels, rows: np.ndarray) -> Labels:
    kept = torch.from_numpy(rows)
    maps, fields = labels.confidence_maps, labels.part_affinity_fields
    return Labels(
        labels.keypoints[kept], None if maps is None else maps[kept], None if fields is None else fields[kept]
    )


def _together(frames: list[FrameLabels], joints: int) -> Labels:
    keypoints = stack_people([frame.keypoints for frame in frames], joints)
    pairs = [frame.maps for frame in frames if frame.maps is not None]
    if not frames or len(pairs) < len(frames):
        return Labels(keypoints)
    maps, fields = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return Labels(keypoints, maps, fields)
