"""Human3.6M as downloaded: mp4 videos and CDF poses, with its irregular names and lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.human36m.names import RecordingName, parse_name
from datamodules.human36m.poses import count_poses, read_poses
from datamodules.human36m.recordings import PoseKind
from datamodules.video.clips import Clip
from datamodules.video.reading import LENGTH_TOLERANCE, probe
from pose_oad.tracking.errors import UserError

VIDEO_FOLDER = "Videos"
#: Where the poses of each kind are in a subject's folder.
POSE_FOLDERS: Mapping[PoseKind, str] = {
    "2d": "MyPoseFeatures/D2_Positions",
    "world": "MyPoseFeatures/D3_Positions",
    "camera": "MyPoseFeatures/D3_Positions_mono",
}


@dataclass(frozen=True)
class RawRecording:
    """A recording as downloaded."""

    name: RecordingName  #: what it shows
    footage: Path  #: the mp4 file
    pose_files: Mapping[PoseKind, Path]  #: where the poses of each kind should be

    def clip(self) -> tuple[Clip, str]:
        """Open it; see :class:`~datamodules.human36m.recordings.Recording`."""
        size, rate, frames = probe(self.footage)
        labelled, remark = count_poses(self.pose_files["2d"]), ""
        if abs(labelled - frames) > LENGTH_TOLERANCE:
            raise UserError(f"{self.pose_files['2d']}: {labelled} poses do not match {self.footage} with {frames}")
        if labelled != frames:
            remark = f"{labelled} poses for {frames} frames; the smaller number counts"
        name, stop = self.name, min(labelled, frames)
        return Clip(name.key, self.footage, size, rate, 0, stop, self.truth, name.labels), remark

    def truth(self) -> np.ndarray:
        """Read the 2-D poses as a clip's ground truth, shape (frames, 1 person, 32, 3); float32."""
        return with_confidence(self.poses("2d"))

    def has(self, kind: PoseKind) -> bool:
        """Return True if there are poses of a kind."""
        return self.pose_files[kind].is_file()

    def poses(self, kind: PoseKind) -> np.ndarray:
        """Read poses; see :class:`~datamodules.human36m.recordings.Original`."""
        return read_poses(self.pose_files[kind], 2 if kind == "2d" else 3)

    def facts(self) -> dict[str, Any]:
        """Return name, size and time of change of each of its files."""
        files: dict[str, Path] = {"video": self.footage} | {str(kind): path for kind, path in self.pose_files.items()}
        return {kind: file_facts(path) for kind, path in files.items() if path.exists()}


def with_confidence(poses: np.ndarray) -> np.ndarray:
    """Turn poses, shape (frames, joints, 2), into those of one person with confidence 1, (frames, 1, joints, 3)."""
    return np.concatenate([poses, np.ones_like(poses[..., :1])], axis=-1)[:, None]


def file_facts(path: Path) -> list[Any]:
    """Return name, size (bytes) and time of change (ns) of a file."""
    facts = path.stat()
    return [path.name, facts.st_size, facts.st_mtime_ns]


class RawTree:
    """A tree as downloaded, possibly spread over several folders.

    Args:
        roots: folders that hold ``S1``, ``S5``, …; what is in several is taken from the first
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = tuple(roots)

    @classmethod
    def found_in(cls, folder: Path) -> bool:
        """Return True if a folder holds such a tree."""
        return any(folder.glob(f"S*/{VIDEO_FOLDER}"))

    def subjects(self) -> list[str]:
        """Subjects that have a folder of videos."""
        return sorted({path.parent.name for root in self.roots for path in root.glob(f"S*/{VIDEO_FOLDER}")})

    def folder(self, subject: str, relative: str) -> Path:
        """Return a subject's folder in the first root that has it, or where it should be."""
        places = [root / subject / relative for root in self.roots]
        return next((place for place in places if place.is_dir()), places[0])

    def recordings(self, subject: str) -> list[RawRecording]:
        """List the videos of a subject and where their poses should be."""
        poses = {kind: self.folder(subject, relative) for kind, relative in POSE_FOLDERS.items()}
        return [
            RawRecording(
                name,
                video,
                {kind: folder / f"{_pose_stem(name, kind)}.cdf" for kind, folder in poses.items()},
            )
            for video in sorted(self.folder(subject, VIDEO_FOLDER).glob("*.mp4"))
            if (name := parse_name(subject, video.stem)) is not None
        ]

    def without_video(self, subject: str) -> list[RecordingName]:
        """Return what has 2-D poses but no video."""
        filmed = {recording.name for recording in self.recordings(subject)}
        posed = (parse_name(subject, path.stem) for path in self.folder(subject, POSE_FOLDERS["2d"]).glob("*.cdf"))
        return sorted((name for name in posed if name is not None and name not in filmed), key=lambda name: name.key)

    def strangers(self, subject: str) -> list[Path]:
        """Return videos whose name says nothing, but for those of several sequences at once (``_ALL…``)."""
        videos = sorted(self.folder(subject, VIDEO_FOLDER).glob("*.mp4"))
        return [path for path in videos if parse_name(subject, path.stem) is None and not path.name.startswith("_ALL")]


def _pose_stem(name: RecordingName, kind: PoseKind) -> str:
    return name.title if kind == "world" else name.stem  # all cameras share the world
