"""The one slot through which new weights come to the server: a file that is replaced in one step."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from pose_oad.students import PoseStudent
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import UserError, reason_of


class Published(NamedTuple):
    """A version of the weights, with buffers.

    Attributes:
        generation: its number; that of the student before the stream is 0
        window: number of the window behind which it was published; -1: not by training
        made_s: when, s since 1970
        foreground: how they were trained, by which confidences are read
        weights: every tensor of the network, by name
    """

    generation: int
    window: int
    made_s: float
    foreground: float
    weights: Mapping[str, Tensor]


class Mailbox:
    """Keep the newest version of the weights; one that was not read is replaced.

    The file is a student's checkpoint like any other. Whoever dies at any instant leaves a whole version. The version
    that a user goes back to lies beside it, for the adapter to take on.

    Args:
        folder: where it lies
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._back = folder / "weights.safetensors", folder / "back.safetensors"

    def publish(self, student: PoseStudent, window: int = -1) -> int:
        """Put a student's weights in; return their generation, which is larger than any before.

        Raises:
            UnwritableError: if they cannot be written; the version before stays.
        """
        return _write(self.path, student, self.generation() + 1, window)

    def generation(self) -> int:
        """Return the number of the version that is in it, 0 where there is none."""
        published = self.read(tensors=False)
        return 0 if published is None else published.generation

    def read(self, tensors: bool = True) -> Published | None:
        """Return the version that is in it; None where there is none.

        Args:
            tensors: whether the weights are read too

        Raises:
            UserError: if the file is damaged.
        """
        return _read(self.path, tensors)

    def go_back(self, student: PoseStudent) -> int:
        """Put an earlier version in as the newest one, and leave it for the adapter to go on from."""
        generation = self.generation() + 1
        _write(self._back, student, generation, -1)
        return _write(self.path, student, generation, -1)

    def taken_back(self) -> Published | None:
        """Return the version that a user has gone back to since this was last asked; None: there is none."""
        published = _read(self._back, tensors=True)
        self._back.unlink(missing_ok=True)
        return published


def _write(path: Path, student: PoseStudent, generation: int, window: int) -> int:
    notes = {"generation": generation, "window": window, "made_s": time.time(), "foreground": student.foreground}
    save_student(student, path, {name: str(value) for name, value in notes.items()})
    return generation


def _read(path: Path, tensors: bool) -> Published | None:
    if not os.path.exists(path):
        return None
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()} if tensors else {}  # noqa: SIM118
        made_s, foreground = float(notes["made_s"]), float(notes["foreground"])
        return Published(int(notes["generation"]), int(notes["window"]), made_s, foreground, weights)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged, or no weights of a service ({reason_of(error)})") from error
