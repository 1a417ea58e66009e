"""Why a strategy does well or badly: whether scores foretell errors, and choices repeat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from callbacks.observer import Observer
from pose_oad.metrics.stream import rank_correlation, redundancy
from pose_oad.online.record import WindowRecord


class SelectionDiagnostics(Observer):
    """Relate a window's selection to its errors.

    Args:
        rate_hz: frames of the stream per second
        near_s: chosen frames no further apart than this are near-duplicates, s
    """

    def __init__(self, rate_hz: float, near_s: float = 0.2) -> None:
        self.near = round(near_s * rate_hz)
        self._values: dict[str, list[float]] = {"score_error_correlation": [], "redundancy": []}

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Return a window's figures, where they are defined."""
        values = {
            "score_error_correlation": self._correlation(record),
            "redundancy": redundancy(record.window.ids[record.choice.positions], self.near),
        }
        defined = {name: value for name, value in values.items() if math.isfinite(value)}
        for name, value in defined.items():
            self._values[name].append(value)
        return defined

    def state_dict(self) -> dict[str, Any]:
        """Return what has been noted so far."""
        return {"values": self._values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from notes returned by :meth:`state_dict`."""
        self._values = {name: [float(value) for value in values] for name, values in state_dict["values"].items()}

    def summary(self) -> dict[str, float]:
        """Return the means over windows of ``score_error_correlation`` and ``redundancy``, NaN where undefined."""
        return {name: float(np.mean(values)) if values else math.nan for name, values in self._values.items()}

    def _correlation(self, record: WindowRecord) -> float:
        """Correlate scores and errors of the candidates that were measured."""
        window, scores = record.window, record.choice.scores
        if scores is None:
            return math.nan
        ids, errors = record.measured.ids, record.measured.frame_errors
        known = np.isin(ids, window.ids[window.candidates])
        return rank_correlation(scores[np.searchsorted(window.ids, ids[known])], errors[known])
