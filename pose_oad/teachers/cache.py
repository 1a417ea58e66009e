"""A teacher whose labels are kept on disk: a second run over the same video does not ask it again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pose_oad.teachers.base import Labels, Origin, Teacher, TeacherAround, TeacherRequest, stack_people
from pose_oad.teachers.identity import content_hash
from pose_oad.teachers.label_store import FrameLabels, LabelStore

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
