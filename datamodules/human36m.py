"""Human3.6M as downloaded: mp4 videos and CDF poses, with its irregular names, lengths and damaged sequences."""

from __future__ import annotations

import fnmatch
import logging
import random
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cdflib
import numpy as np

from datamodules.video import LENGTH_TOLERANCE, Clip, fraction_of, probe
from pose_oad.errors import UserError, check, nearest
from pose_oad.skeleton import get_skeleton

log = logging.getLogger(__name__)

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
_VIDEO_NAME = re.compile(r"(?P<action>[A-Za-z]+)(?: (?P<number>\d+))?\.(?P<camera>\d+)\.mp4")
# S1's folder spells two actions its own way.
_CANONICAL = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}


class Human36mSource:
    """Sequences of a Human3.6M tree, one after another.

    Args:
        root: folder that holds ``S1``, ``S5``, …
        subjects: subjects to play, in this order
        cameras: cameras to play, in this order within a subject
        actions: canonical action names to play, in this order within a camera; None plays all by name
        start: fraction of each sequence to start at
        end: fraction of each sequence to end at
        skip: patterns of sequences to leave out, as ``S11/Directions.54138969`` (shell wild cards)
        shuffle: play the sequences in random order
        seed: seed of that order
        metric_width: width of the image, px, to which distances are scaled (the data set's is 1000)

    Raises:
        UserError: if the tree lacks what was asked for, or a video and its poses do not belong together.
    """

    def __init__(
        self,
        root: str,
        subjects: Sequence[str] = ("S1",),
        cameras: Sequence[str] = ("55011271",),
        actions: Sequence[str] | None = None,
        start: float = 0.0,
        end: float = 0.8,
        skip: Sequence[str] = (),
        shuffle: bool = False,
        seed: int = 0,
        metric_width: float | None = 1000.0,
    ) -> None:
        self.root = Path(root)
        check(
            self.root.is_dir(),
            "stream.root",
            root,
            "the folder of a Human3.6M tree; `make data` writes a synthetic one",
        )
        self.skeleton = get_skeleton("human36m-32")
        self.metric_width = metric_width
        self.together = 1
        self._fractions, self._skip = (start, end), tuple(skip)
        self._warned = False
        self.clips = [
            clip for subject in subjects for camera in cameras for clip in self._list(subject, str(camera), actions)
        ]
        if shuffle:
            random.Random(seed).shuffle(self.clips)
        check(bool(self.clips), "stream.skip", list(skip), "patterns that leave at least one sequence")

    def _list(self, subject: str, camera: str, actions: Sequence[str] | None) -> list[Clip]:
        folder = self.root / subject / "Videos"
        if not folder.is_dir():
            there = sorted(path.parent.name for path in self.root.glob("S*/Videos"))
            raise UserError(f"stream.subjects={subject}: {folder} does not exist{nearest(subject, there)}")
        found: dict[str, list[tuple[int, Path]]] = {}
        others: set[str] = set()
        for path in folder.glob("*.mp4"):
            match = _VIDEO_NAME.fullmatch(path.name)
            if match is None:  # _ALL.*.mp4 and the like
                continue
            others.add(match["camera"])
            if match["camera"] == camera:
                found.setdefault(_action(path), []).append((int(match["number"] or 0), path))
        if not found:
            raise UserError(f"stream.cameras={camera}: {folder} has no video of it{nearest(camera, others)}")
        for action in actions or ():
            if action not in found:
                raise UserError(f"stream.actions={action}: {subject} has no such action{nearest(action, found)}")
        paths = [path for action in (actions or sorted(found)) for _, path in sorted(found[action])]
        return [self._clip(subject, camera, path) for path in paths if not self._skipped(subject, path)]

    def _skipped(self, subject: str, path: Path) -> bool:
        return any(fnmatch.fnmatch(f"{subject}/{path.stem}", pattern) for pattern in self._skip)

    def _clip(self, subject: str, camera: str, video: Path) -> Clip:
        poses = self.root / subject / "MyPoseFeatures" / "D2_Positions" / f"{video.stem}.cdf"
        size, rate, frames = probe(video)
        labelled = count_poses(poses)
        if abs(labelled - frames) > LENGTH_TOLERANCE:
            raise UserError(f"{poses}: {labelled} poses do not match {video.name} with {frames} frames")
        if labelled != frames and not self._warned:
            self._warned = True
            log.warning(
                "%s: %d poses for %d frames; the smaller number counts, here and below", poses, labelled, frames
            )
        start, stop = fraction_of(min(labelled, frames), *self._fractions)
        labels = {"subject": subject, "action": _action(video), "camera": camera}
        return Clip(f"{subject}/{video.stem}", video, size, rate, start, stop, partial(read_poses, poses), labels)


def _action(video: Path) -> str:
    """Return the canonical name of the action that a video shows."""
    name = video.name.partition(".")[0].partition(" ")[0]
    return _CANONICAL.get(name, name)


def count_poses(path: Path) -> int:
    """Return the number of frames a 2-D pose file holds, without reading them.

    Raises:
        UserError: if the file is missing, not a CDF, or holds no 2-D poses of 32 joints.
    """
    return _pose_shape(_open_cdf(path), path)[-2]


def read_poses(path: Path) -> np.ndarray:
    """Read a 2-D pose file.

    Returns:
        Shape (frames, 1 person, 32 joints, 3): x px, y px, confidence 1; float32.

    Raises:
        UserError: as :func:`count_poses`.
    """
    cdf = _open_cdf(path)
    frames = _pose_shape(cdf, path)[-2]
    pose = np.asarray(cdf.varget("Pose"), dtype=np.float32).reshape(frames, 1, 32, 2)
    return np.concatenate([pose, np.ones_like(pose[..., :1])], axis=-1)


def _open_cdf(path: Path) -> cdflib.cdfread.CDF:
    check(path.is_file(), "stream.root", path, "the 2-D poses of that video in this file")
    try:
        return cdflib.CDF(path)
    except Exception as error:  # cdflib raises whatever its parser stumbles over
        raise UserError(f"{path}: cannot be read as a CDF ({' '.join(str(error).split())[:100]})") from error


def _pose_shape(cdf: cdflib.cdfread.CDF, path: Path) -> tuple[int, ...]:
    try:
        shape = tuple(int(n) for n in cdf.varinq("Pose").Dim_Sizes)
        records = int(cdf.varinq("Pose").Last_Rec) + 1
    except Exception as error:
        raise UserError(f"{path}: holds no variable 'Pose' ({' '.join(str(error).split())[:100]})") from error
    # The released files hold one record of [frames, 64]; a writer may also store one record per frame.
    shape = (records, *shape)
    if shape[-1] != 64:
        raise UserError(f"{path}: Pose has shape {list(shape)}, expected [1, frames, 64] (32 joints, x and y)")
    return shape
