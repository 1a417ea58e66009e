"""What a consumer of poses holds while the camera goes on: which frames are served, how old a pose is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Served(NamedTuple):
    """Frames of a window that are predicted in time.

    Attributes:
        positions: which, ascending, shape (outputs,)
        finished_s: time at which each pose is there, s, shape (outputs,)
        free_s: time at which the next frame can be begun, s
    """

    positions: np.ndarray
    finished_s: np.ndarray
    free_s: float


def serve(arrivals: np.ndarray, closed_s: float, student_s: float, free_s: float) -> Served:
    """Take the newest frame whenever the student is free; frames between are skipped.

    Args:
        arrivals: time from which on each frame of a window exists, s, ascending, shape (frames,)
        closed_s: time at which the frame behind them arrives, s
        student_s: how long a frame takes, s
        free_s: time from which on the student is free, s
    """
    positions, finished, at = list[int](), list[float](), 0
    while at < len(arrivals):
        start = max(float(arrivals[at]), free_s)
        if start >= closed_s:
            break
        newest = int(np.searchsorted(arrivals, start, side="right")) - 1
        free_s = start + student_s
        positions.append(newest)
        finished.append(free_s)
        at = newest + 1
    return Served(np.array(positions, dtype=np.int64), np.array(finished, dtype=np.float64), free_s)


def highest_rate(window_s: float, frames: float, fixed_s: float, label_s: float) -> float:
    """Return the largest share of frames whose labels and training fit into a window, in [0, 1].

    Args:
        window_s: length of a window, s
        frames: frames in it
        fixed_s: what it takes however many are labelled, s
        label_s: what each label takes, with the training that comes with it, s
    """
    left = window_s - fixed_s
    if left < 0:
        return 0.0
    return min(1.0, left / (label_s * frames)) if label_s > 0 else 1.0


def verdict(summary: Mapping[str, float]) -> str:
    """Put a run's figures into a sentence."""
    ready, windows = (int(summary[f"latency/windows{part}"]) for part in ("_ready", ""))
    return (
        f"on this device {ready} of {windows} windows are ready before the next closes; the highest rate that keeps up "
        f"is {summary['latency/highest_rate']:.2%}"
    )
