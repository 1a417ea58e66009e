"""Sequences of Human3.6M as a stream: any list of subjects, cameras and actions."""

from __future__ import annotations

import fnmatch
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from datamodules.human36m.fetch import FetchTree
from datamodules.human36m.names import RecordingName
from datamodules.human36m.prepared import PreparedFolder
from datamodules.human36m.recordings import Catalogue, Recording
from datamodules.human36m.tree import RawTree
from datamodules.video.clips import Clip, End, Start, fraction_of
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.tracking.errors import RefusedError, nearest, require
from pose_oad.tracking.schema import Positive, Text

log = logging.getLogger(__name__)


class Human36mSource:
    """Sequences of Human3.6M, one after another, or each filmed by several cameras side by side.

    Its arguments are the keys of ``conf/stream/human36m.yaml``. In the order ``action`` a sequence without a number
    comes first; in the order ``file``, where letters in either case are alike, ``Directions 1`` comes before
    ``Directions``.
    """

    def __init__(
        self,
        root: Text,
        subjects: Annotated[Sequence[str], Field(min_length=1)] = ("S1",),
        cameras: Annotated[Sequence[str | int], Field(min_length=1)] = ("55011271",),
        actions: Annotated[Sequence[str], Field(min_length=1)] | None = None,
        start: Start = 0.0,
        end: End = 0.8,
        skip: Sequence[str] = (),
        shuffle: bool = False,
        seed: int = 0,
        metric_width: Positive | None = 1000.0,
        cameras_together: bool = False,
        order: Literal["action", "file"] = "action",
    ) -> None:
        folder, names = Path(root), tuple(map(str, cameras))
        require(folder.is_dir(), "root", root, "the folder of a Human3.6M tree; `make data` writes a synthetic one")
        self.skeleton: Skeleton | None = get_skeleton("human36m-32")
        self.metric_width = metric_width
        self.together = len(names) if cameras_together else 1
        self._catalogue = open_catalogue(folder)
        self._order = _ORDERS[order]
        self._fractions, self._skip = (start, end), skip
        self._remarked = False
        groups = [
            group
            for subject in subjects
            for group in (
                self._side_by_side(subject, names, actions)
                if cameras_together
                else self._one_by_one(subject, names, actions)
            )
        ]
        if shuffle:
            random.Random(seed).shuffle(groups)
        self.clips = [clip for group in groups for clip in self._cut(group)]
        require(bool(self.clips), "skip", list(self._skip), "patterns that leave at least one sequence")

    def _one_by_one(self, subject: str, cameras: Sequence[str], actions: Sequence[str] | None) -> list[list[Recording]]:
        there = self._of_subject(subject)
        return [
            [recording]
            for camera in cameras
            for recording in _ordered(subject, camera, there, actions, self._order)
            if not self._skipped(recording)
        ]

    def _side_by_side(
        self, subject: str, cameras: Sequence[str], actions: Sequence[str] | None
    ) -> list[list[Recording]]:
        """Return the recordings of each sequence that every camera has, in the order of the cameras."""
        there = self._of_subject(subject)
        lists = [_ordered(subject, camera, there, actions, self._order) for camera in cameras]
        by_name = {recording.name: recording for found in lists for recording in found if not self._skipped(recording)}
        groups = []
        for name in {recording.name.title: recording.name for found in lists for recording in found}.values():
            group = [by_name.get(replace(name, camera=camera)) for camera in cameras]
            whole = [recording for recording in group if recording is not None]
            if len(whole) == len(cameras):
                groups.append(whole)
            else:
                log.info("%s: left out, %d of %d cameras have it", name.sequence, len(whole), len(cameras))
        return groups

    def _of_subject(self, subject: str) -> Sequence[Recording]:
        found = self._catalogue.recordings(subject)
        if not found:
            raise RefusedError("subjects", subject, f"one that is there{nearest(subject, self._catalogue.subjects())}")
        return found

    def _skipped(self, recording: Recording) -> bool:
        return any(fnmatch.fnmatchcase(recording.name.key, pattern) for pattern in self._skip)

    def _cut(self, group: Sequence[Recording]) -> list[Clip]:
        """Open recordings and cut them to the same stretch, that of the shortest."""
        clips = []
        for recording in group:
            clip, remark = recording.clip()
            if remark and not self._remarked:
                self._remarked = True
                log.warning("%s: %s, here and below", clip.name, remark)
            clips.append(clip)
        start, stop = fraction_of(min(clip.stop for clip in clips), *self._fractions)
        together = group[0].name.sequence if len(group) > 1 else ""
        return [replace(clip, start=start, stop=stop, recording=together) for clip in clips]


_ORDERS: dict[str, Callable[[RecordingName], Any]] = {
    "action": lambda name: (name.action, name.number or 0, name.title),
    "file": lambda name: name.stem.casefold(),
}


def _ordered(
    subject: str,
    camera: str,
    recordings: Sequence[Recording],
    actions: Sequence[str] | None,
    order: Callable[[RecordingName], Any],
) -> list[Recording]:
    """Return one camera's recordings in an order, or action by action and in that order within one."""
    found = sorted((r for r in recordings if r.name.camera == camera), key=lambda recording: order(recording.name))
    there = {recording.name.action for recording in found}
    if not found:
        others = {recording.name.camera for recording in recordings}
        raise RefusedError("cameras", camera, f"a camera of {subject}{nearest(camera, others)}")
    for action in actions or ():
        if action not in there:
            raise RefusedError("actions", action, f"an action of {subject}{nearest(action, there)}")
    if actions is None:
        return found
    return [recording for action in actions for recording in found if recording.name.action == action]


def open_catalogue(root: Path) -> Catalogue:
    """Look what a folder holds: a prepared one, a tree as downloaded, or one of h36m-fetch.

    Raises:
        RefusedError: if it holds none of them.
    """
    if PreparedFolder.found_in(root):
        return PreparedFolder(root)
    if RawTree.found_in(root):
        return RawTree([root])
    if FetchTree.found_in(root):
        return FetchTree(root)
    archives = ", not yet unpacked archives: make data SOURCE=human36m" if any(root.glob("*.tgz")) else ""
    accepted = (
        "a folder prepared by make data SOURCE=human36m, or a Human3.6M tree as downloaded (S1/Videos, …) or as "
        "h36m-fetch leaves it (processed/S1/…/annot.h5)"
    )
    raise RefusedError("root", root, accepted + archives)
