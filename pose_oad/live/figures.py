"""What a service says of itself: how fast it is, how old its weights are, what its adapter does."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

_RECENT = 600  # frames of which the times are kept
_CURVE = 2000  # windows of which the distance is kept


class Figures:
    """Count frames and windows; every method may be called from any thread.

    Args:
        rate: of the camera, frames/s: a frame whose pose takes longer than two of its frames is late
        clock: time, s
    """

    def __init__(self, rate: float, clock: Any = time.monotonic) -> None:
        self.rate, self._clock, self._lock = rate, clock, threading.Lock()
        self.began_s = clock()
        self.frames = self.late = self.swaps = self.windows = 0
        self._recent: deque[tuple[float, float, float, bool]] = deque(maxlen=_RECENT)
        self.curve: deque[tuple[int, float | None, int]] = deque(maxlen=_CURVE)
        self.chosen: dict[int, bytes] = {}
        self.window: dict[str, Any] = {}

    def predicted(self, latency_s: float, inference_s: float, learning: bool) -> None:
        """Count a frame.

        Args:
            latency_s: from the frame's arrival to its pose, s
            inference_s: of that, the student's part, s
            learning: whether the adapter worked on a window meanwhile
        """
        with self._lock:
            self.frames += 1
            self.late += latency_s > 2 / self.rate
            self._recent.append((self._clock(), latency_s, inference_s, learning))

    def window_closed(self, values: Mapping[str, Any]) -> None:
        """Take an adapter's report of a window in."""
        row = values["row"]
        distances = [row[name] for name in ("teacher_distance_px", "mpjpe_px") if name in row]
        with self._lock:
            self.windows += 1
            self.curve.append((row["last_frame"], distances[0] if distances else None, int(row["live/generation"])))
            self.chosen = dict(values["chosen"])
            self.window = {
                "number": row["window"], "gate": values["gate"], "slack_s": values.get("slack_s"),
                "taken_s": values.get("taken_s"), "distance_px": distances[0] if distances else None,
                "chosen": row["selected_frames"], "teacher_calls": row["teacher_calls_total"],
                "optimizer_steps": row["optimizer_steps_total"], "frames_dropped": row.get("frames_dropped", 0),
                "label_s": row["seconds/label"] / row["teacher_calls"] if row["teacher_calls"] else None,
                "train_s": row["seconds/train"],
            }  # fmt: skip

    def served(self) -> dict[str, Any]:
        """Return the figures of serving, plain values by name."""
        with self._lock:
            recent, frames, late = list(self._recent), self.frames, self.late
        times = [at for at, *_ in recent]
        spread = times[-1] - times[0] if len(times) > 1 else 0.0
        parts = {
            "latency": [latency for _, latency, _, _ in recent],
            "inference": [inference for *_, inference, _ in recent],
            "inference_learning": [inference for *_, inference, learning in recent if learning],
            "inference_alone": [inference for *_, inference, learning in recent if not learning],
        }
        figures: dict[str, Any] = {
            "frames": frames, "late": late, "fps": (len(times) - 1) / spread if spread else 0.0,
            "uptime_s": self._clock() - self.began_s, "swaps": self.swaps,
        }  # fmt: skip
        for name, values in parts.items():
            for part in (50, 95):
                figures[f"{name}_p{part}_s"] = float(np.percentile(values, part)) if values else None
        return figures


def prometheus(status: Mapping[str, Any]) -> str:
    """Write the numbers of a status in Prometheus' text format, names joined by underscores."""
    lines = []
    for name, value in _numbers(status):
        metric = f"pose_oad_{name}"
        lines += [f"# TYPE {metric} {'counter' if name in _COUNTERS else 'gauge'}", f"{metric} {float(value):g}"]
    return "\n".join(lines) + "\n"


_COUNTERS = {
    "serving_frames", "serving_late", "serving_swaps", "camera_skipped", "camera_lost", "adapter_dropped",
    "adapter_restarts",
}  # fmt: skip


def _numbers(node: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found = []
    for key, value in node.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}{key}_")
        elif isinstance(value, int | float) and math.isfinite(value):
            found.append((f"{prefix}{key}", value))
    return found
