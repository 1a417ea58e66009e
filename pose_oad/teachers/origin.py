"""Where frames come from, said in a way that outlives a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Origin:
    """Where some frames come from: by it a label that was made elsewhere, or kept from an earlier run, is found.

    Attributes:
        clip: name of the clip
        path: the video file, the folder of images, or the image; None for a camera, which never shows a frame again
        numbers: number of each frame in it, from 0, int64, shape (frames,)
        names: file name of each frame, below the path, where every frame is a file of its own; empty otherwise
    """

    clip: str
    path: Path | None
    numbers: np.ndarray
    names: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> Origin:
        """Return the origin of some of the frames, by their places, int64, shape (frames,)."""
        return replace(self, numbers=self.numbers[rows], names=tuple(self.names[row] for row in rows if self.names))
