"""The seams between what a folder holds and who reads it: a recording, and a catalogue of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from datamodules.human36m.names import RecordingName
from datamodules.video.clips import Clip

#: Poses of a recording: 2-D (px), 3-D in the world and in the camera's coordinates (mm).
PoseKind = Literal["2d", "world", "camera"]
POSE_KINDS: tuple[PoseKind, ...] = ("2d", "world", "camera")


class Recording(Protocol):
    """One sequence, filmed by one camera."""

    @property
    def name(self) -> RecordingName:
        """What it shows."""
        ...

    def clip(self) -> tuple[Clip, str]:
        """Open it: all frames that have a 2-D pose, and what is odd about them in a few words, empty for nothing."""
        ...


class Original(Recording, Protocol):
    """A recording from which a cache can be made."""

    @property
    def footage(self) -> Path:
        """Its video, or the folder of its images."""
        ...

    def has(self, kind: PoseKind) -> bool:
        """Return True if there are poses of a kind, readable or not."""
        ...

    def poses(self, kind: PoseKind) -> np.ndarray:
        """Read poses, shape (frames, 32, 2), px, or (frames, 32, 3), mm; float32. Refuse those that cannot be read."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """Return what changes whenever one of its files does, as plain values."""
        ...


class Catalogue(Protocol):
    """What a folder holds."""

    def subjects(self) -> list[str]:
        """Subjects of which there is anything."""
        ...

    def recordings(self, subject: str) -> Sequence[Recording]:
        """Recordings of a subject, in no particular order; none where there is nothing of it."""
        ...
