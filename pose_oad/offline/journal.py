"""What has been chosen and labelled so far, on disk, so that a study that was killed asks its teacher nothing twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.window import FrameWindow
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import append_lines, cut_torn_line


class KeptWindow(NamedTuple):
    """What is kept of a window: everything but its pictures, which the videos give again.

    Attributes:
        row: its row in ``selection.jsonl``
        positions: the chosen positions in it, ascending
        keypoints: people of the chosen frames, input px, shape (chosen, people, joints, 3)
        known: of which joints anything is known, bool, shape (chosen, joints)
        known_limbs: of which limbs, bool, shape (chosen, limbs)
        metric_scale: px of the reported metric per px of the input, along x and y, shape (chosen, 2)
    """

    row: Mapping[str, Any]
    positions: np.ndarray
    keypoints: Tensor
    known: Tensor
    known_limbs: Tensor
    metric_scale: Tensor

    @property
    def teacher_calls(self) -> int:
        """How many frames the teacher labelled for it, to choose and to train."""
        return int(self.row["teacher_calls"])

    def batch(self, window: FrameWindow) -> LabelledBatch:
        """Join the labels with the pictures.

        Args:
            window: the same window, played again

        Raises:
            UserError: if the videos have changed.
        """
        bounds = self.row["first_frame"], self.row["last_frame"]
        if bounds != (window.ids[0], window.ids[-1]):
            raise UserError(
                f"resume: window {window.index} has frames {window.ids[0]} to {window.ids[-1]}; expected {bounds[0]} "
                f"to {bounds[1]} as before the stop: have the videos under stream.root changed?"
            )
        rows = torch.from_numpy(self.positions)
        ids = torch.from_numpy(window.ids)[rows]
        labels = self.keypoints, self.known, self.known_limbs
        return LabelledBatch(window.frames[rows], *labels, ids, metric_scale=self.metric_scale)


class SelectionJournal:
    """A line per window, written when its frames have been chosen and labelled.

    Args:
        path: the file; what it holds already is taken on, less a last line that a crash cut off

    Raises:
        UserError: if another line of it is damaged.

    Attributes:
        rows: rows of ``selection.jsonl`` of all windows so far
        kept: the windows that the file held already, by their number
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Mapping[str, Any]] = []
        self.kept: dict[int, KeptWindow] = {}
        if path.exists():
            cut_torn_line(path)
            for number, line in enumerate(path.read_bytes().splitlines()):
                try:
                    window = _read(json.loads(line), number)
                except (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError) as error:
                    raise UserError(f"{path}: damaged in line {number + 1} ({error})") from error
                self.kept[number] = window
                self.rows.append(window.row)

    def append(self, row: Mapping[str, Any], positions: np.ndarray, labelled: LabelledBatch | None) -> None:
        """Keep a window.

        Args:
            row: its row in ``selection.jsonl``
            positions: the chosen positions in it, ascending
            labelled: the chosen frames with their labels; None where nothing was chosen

        Raises:
            UserError: if it cannot be written, as on a full disk.
        """
        self.rows.append(row)
        labels = {} if labelled is None else {name: getattr(labelled, name).tolist() for name in _LABELS}
        line = json.dumps({"row": dict(row), "positions": positions.tolist(), "labels": labels})
        append_lines(self.path, line + "\n")


_LABELS = ("keypoints", "known", "known_limbs", "metric_scale")


def _read(entry: dict[str, Any], number: int) -> KeptWindow:
    counts = [entry["row"][key] for key in ("window", "first_frame", "last_frame", "teacher_calls")]
    if counts[0] != number or not all(isinstance(count, int | float) for count in counts):
        raise ValueError(f"no row of window {number}")
    positions = np.array(entry["positions"], np.int64)
    if not len(positions):
        return KeptWindow(entry["row"], positions, *(torch.zeros(0) for _ in _LABELS))
    keypoints, known, *others = (torch.tensor(entry["labels"][name]) for name in _LABELS)
    # Lists of no people have lost the dimensions behind them.
    keypoints = keypoints.reshape(*known.shape[:1], -1, known.shape[1], 3)
    return KeptWindow(entry["row"], positions, keypoints, known, *others)
