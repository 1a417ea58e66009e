"""Which trials are not worth finishing: those that do no better than a student that never learns.

A student that never learns costs no label and no training, so a trial whose error is larger than its is worse in every
objective, and giving it up cannot hide a trade-off; Optuna's own pruners look at one objective only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

#: Share of the stream that is played before a trial may be given up: adapting takes a while to pay.
PATIENCE = 1 / 3

#: A trial is given up when its error exceeds the never adapted student's by this factor.
MARGIN = 1.05

# What decides about the errors of a student that never learns; another checkpoint, or the teacher, is no reference.
_MEASURED = ("student", "checkpoint", "predictor", "stream", "metric.", "window.resize_mode", "window.camera_rate")


class ErrorCurve:
    """The mean error of a run from its beginning to each of its windows.

    Attributes:
        frames: number of frames played at each window's end
        errors: mean error so far, px
    """

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.errors: list[float] = []

    def add(self, frames: int, error: float) -> None:
        """Take in a window of so many frames and its mean error, px (NaN: nothing was measured)."""
        before, mean = (self.frames[-1], self.errors[-1]) if self.frames else (0, float("nan"))
        if np.isnan(error) or np.isnan(mean):
            mean = mean if np.isnan(error) else error
        else:
            mean = (mean * before + error * frames) / (before + frames)
        self.frames.append(before + frames)
        self.errors.append(float(mean))

    def plain(self) -> dict[str, list[Any]]:
        """Return it as values that a trial can keep."""
        return {"frames": self.frames, "errors": self.errors}


def never_adapted(study: optuna.Study, seeds: Sequence[int], point: Sequence[str]) -> dict[str, list[Any]] | None:
    """Return the curve of the finished reference of a trial's own student that never learnt; None while there is none.

    Seeds, stream and the way of measuring are those of the trial.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        attributes = trial.user_attrs
        # A trial whose worker died after its last window counts as complete, but its curve died with the worker.
        known = (
            "curves" in attributes
            and "strategy=none" in attributes["overrides"]
            and _measured(attributes["overrides"]) == _measured(point)
        )
        if known and list(attributes["seeds"]) == list(seeds):
            return attributes["curves"][0]
    return None


def _measured(overrides: Sequence[str]) -> set[str]:
    """Pick the overrides that say who is measured, and on what."""
    return {override for override in overrides if override.startswith(_MEASURED)}


def is_hopeless(curve: ErrorCurve, reference: dict[str, list[Any]]) -> bool:
    """Return whether a run so far does no better than the finished student that never learns, on the same stream."""
    frames, total = curve.frames[-1], reference["frames"][-1]
    if frames < PATIENCE * total or frames >= total:
        return False
    # Windows of another length end elsewhere: in between, the mean so far changes steadily.
    return bool(curve.errors[-1] > MARGIN * np.interp(frames, reference["frames"], reference["errors"]))
