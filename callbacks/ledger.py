"""The ledger: one row per window, enough to check a run, and to do it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pose_oad.online.window import FrameWindow
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import append_lines, replacing

_LARGEST = 2**63  # of whole numbers


class Ledger:
    """Write a row per window: its frames, clips, chosen frames, and every number that is logged.

    Rows are appended to ``ledger.jsonl`` as they come, so that an interrupted run keeps those of its finished windows;
    at the end they are also written as one Parquet table.

    Args:
        folder: the run's folder
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ledger.jsonl"

    def cut(self, windows: int, frames: int) -> None:
        """Keep the rows of so many windows: those of a run that goes on behind them.

        Args:
            windows: number of finished windows
            frames: frames of the stream in them

        Raises:
            UserError: if it does not hold them.
        """
        rows = read_ledger(self.path)[:windows]
        held = rows[-1]["last_frame"] + 1 if rows else 0
        if (len(rows), held) != (windows, frames):
            raise UserError(
                f"{self.path}: holds {len(rows)} windows with {held} frames; expected the {windows} with {frames} that "
                "had been finished when the run was stopped"
            )
        with replacing(self.path) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def append(self, row: Mapping[str, Any]) -> None:
        """Append one window's row.

        Raises:
            UnwritableError: if it cannot be written, as on a full disk.
        """
        append_lines(self.path, json.dumps(row) + "\n")

    def write_table(self) -> None:
        """Write all rows as one table, when the stream has ended."""
        rows = read_ledger(self.path)
        if rows:
            with replacing(self.folder / "ledger.parquet") as partial:
                pq.write_table(pa.Table.from_pylist(rows), partial)


def row_of(window: FrameWindow, selected: np.ndarray, figures: Mapping[str, float]) -> dict[str, Any]:
    """Describe a window in plain values.

    Args:
        window: the window
        selected: the chosen positions in it
        figures: what else is known, by name

    Returns:
        window number, first and last frame number, its clips with the frame each starts at and their labels, the
        chosen frames' numbers, and the figures; a NaN becomes None.
    """
    return {
        "window": window.index,
        "first_frame": int(window.ids[0]),
        "last_frame": int(window.ids[-1]),
        "clips": [
            {"name": segment.clip, "first_frame": int(window.ids[segment.start]), **segment.labels}
            for segment in window.segments
        ],
        "selected_frames": window.ids[selected].tolist(),
        **{name: None if np.isnan(value) else value for name, value in figures.items()},
    }


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a ledger; a last line cut off by a crash is left out.

    Raises:
        UserError: if a row is not what :func:`row_of` describes, or one is missing between others.
    """
    rows: list[dict[str, Any]] = []
    try:
        for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
            row = json.loads(line)
            _check_row(row, len(rows))
            rows.append(row)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: damaged in line {len(rows) + 1} ({reason}); expected a row per window") from error
    return rows


def _check_row(row: dict[str, Any], number: int) -> None:
    """Refuse what is no row of a window; TypeError, KeyError or ValueError say what is wrong."""
    values = dict(row)
    clips, selected = values.pop("clips"), values.pop("selected_frames")
    labels = [dict(clip) for clip in clips]
    frames = [values["first_frame"], values["last_frame"], *selected, *(clip.pop("first_frame") for clip in labels)]
    if values["window"] != number:
        raise ValueError(f"window {values['window']}, expected {number}")
    if not all(type(frame) is int and 0 <= frame < _LARGEST for frame in frames):
        raise ValueError("the number of a frame is no whole number, 0 or more")
    if not all(isinstance(label, str) for clip in labels for label in clip.values()):
        raise ValueError("a clip's label is no text")
    for name, value in values.items():
        if not (value is None or type(value) is float or (type(value) is int and abs(value) < _LARGEST)):
            raise ValueError(f"{name}={value} is no number")
