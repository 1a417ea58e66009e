"""Why a strategy does well or badly: whether scores foretell errors, and choices repeat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer

from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.stream import rank_correlation, redundancy
from pose_oad.online.window import FrameWindow


class SelectionDiagnostics(Callback):
    """Relate a window's selection to its errors.

    Must come after the query strategy. It changes nothing.

    Args:
        evaluation: the errors
        rate_hz: frames of the stream per second
        near_s: chosen frames no further apart than this are near-duplicates, s
    """

    def __init__(self, evaluation: PrequentialEvaluation, rate_hz: float, near_s: float = 0.2) -> None:
        self.evaluation, self.near = evaluation, round(near_s * rate_hz)
        self._values: dict[str, list[float]] = {"score_error_correlation": [], "redundancy": []}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Add this window's figures to its metrics, where they are defined."""
        window: FrameWindow = batch
        with window.phase("evaluate"):
            values = {
                "score_error_correlation": self._correlation(window),
                "redundancy": redundancy(window.ids[window.selected], self.near),
            }
            for name, value in values.items():
                if math.isfinite(value):
                    window.metrics[name] = value
                    self._values[name].append(value)

    def state_dict(self) -> dict[str, Any]:
        """Return what has been noted so far."""
        return {"values": self._values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from notes returned by :meth:`state_dict`."""
        self._values = {name: [float(value) for value in values] for name, values in state_dict["values"].items()}

    def summary(self) -> dict[str, float]:
        """Return the means over windows of ``score_error_correlation`` and ``redundancy``, NaN where undefined."""
        return {name: float(np.mean(values)) if values else math.nan for name, values in self._values.items()}

    def _correlation(self, window: FrameWindow) -> float:
        """Correlate scores and errors of the candidates that were measured."""
        if window.scores is None:
            return math.nan
        ids, errors = self.evaluation.frame_ids[-1], self.evaluation.frame_errors[-1]
        measured = np.isin(ids, window.ids[window.candidates])
        return rank_correlation(window.scores[np.searchsorted(window.ids, ids[measured])], errors[measured])
