"""Why a strategy does well or badly: whether scores foretell errors, choices repeat, and errors come down again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer

from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.stream import rank_correlation, recovery, redundancy
from pose_oad.window import FrameWindow

#: Labels of a clip whose changes are also reported apart.
KINDS = ("action", "subject")


class SelectionDiagnostics(Callback):
    """Relate a window's selection to its errors, and follow the error after each change of clip.

    Must come after the query strategy. It changes nothing.

    Args:
        evaluation: the errors
        rate_hz: frames of the stream per second
        near_s: chosen frames no further apart than this are near-duplicates, s
        smooth_s: the error is averaged over this before it is said to have recovered, s
        tolerance: how much above its level before the change it may then be, fraction of that level
    """

    def __init__(
        self,
        evaluation: PrequentialEvaluation,
        rate_hz: float,
        near_s: float = 0.2,
        smooth_s: float = 0.5,
        tolerance: float = 0.1,
    ) -> None:
        self.evaluation, self.rate_hz, self.tolerance = evaluation, rate_hz, tolerance
        self.near, self.smooth = round(near_s * rate_hz), max(1, round(smooth_s * rate_hz))
        self._values: dict[str, list[float]] = {"score_error_correlation": [], "redundancy": []}
        self._changes: list[int] = []
        self._kinds: dict[str, list[bool]] = {kind: [] for kind in KINDS}
        self._clip: dict[str, str] | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Add this window's figures to its metrics, where they are defined."""
        window: FrameWindow = batch
        with window.phase("evaluate"):
            self._follow(window)
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
        return {"values": self._values, "changes": self._changes, "kinds": self._kinds, "clip": self._clip}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from notes returned by :meth:`state_dict`."""
        self._values, self._changes = state_dict["values"], state_dict["changes"]
        self._kinds, self._clip = state_dict["kinds"], state_dict["clip"]

    def summary(self) -> dict[str, float]:
        """Return the run's figures, NaN where undefined.

        ``score_error_correlation`` and ``redundancy`` are means over windows. ``recovery_s`` is the mean time after a
        change of clip until the error is back at its former level; where it did not come back, the time until the next
        change (or the end) counts, so that it is a lower bound: read it beside ``recovered_share``, the share of
        changes after which it did. ``recovery_s/action`` and ``recovery_s/subject`` are means over the changes at which
        that label changed.
        """
        found = recovery(*self.evaluation.curve(), np.array(self._changes), self.smooth, self.tolerance)
        seconds = found.frames / self.rate_hz
        values = {name: _mean(np.array(values)) for name, values in self._values.items()}
        values |= {"recovery_s": _mean(seconds), "recovered_share": _mean(found.recovered)}
        for kind, changed in self._kinds.items():
            values[f"recovery_s/{kind}"] = _mean(seconds[np.array(changed, dtype=bool)])
        return values

    def _correlation(self, window: FrameWindow) -> float:
        """Correlate scores and errors of the candidates that were measured."""
        if window.scores is None:
            return math.nan
        ids, errors = self.evaluation.frame_ids[-1], self.evaluation.frame_errors[-1]
        measured = np.isin(ids, window.ids[window.candidates])
        return rank_correlation(window.scores[np.searchsorted(window.ids, ids[measured])], errors[measured])

    def _follow(self, window: FrameWindow) -> None:
        """Note where a clip follows another, and what changes with it."""
        for clip in window.segments:
            recording = clip.recording or clip.clip
            before, self._clip = self._clip, {"clip": recording, **clip.labels}
            if before is None or before["clip"] == recording:
                continue
            self._changes.append(int(window.ids[clip.start]))
            for kind, changed in self._kinds.items():
                changed.append(before.get(kind) != clip.labels.get(kind))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
