"""A guess at the student's error, learnt from its errors on earlier labels. Experimental."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from callbacks.strategies.base import QueryStrategy, Scorer
from callbacks.strategies.outcome import LastChoice
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Count, Positive


@dataclass(eq=False, repr=False)
class LearnedLoss(QueryStrategy):
    """Choose the frames of largest error as ridge regression from pooled features guesses it; experimental.

    It learns from the student's errors (one less OKS) on labels of earlier windows; before there are any, frames are
    chosen at random.

    Source: learning loss, Yoo & Kweon, arXiv 1905.03677, with a closed form in the place of a second network.

    Args:
        ridge: how much the regression is held back
        most: labels that count, the latest
    """

    costly = True
    scorer: Scorer = "live"
    ridge: Positive = 0.1
    most: Count = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self._last, self._features = LastChoice(), torch.zeros(0, 0)
        self._seen, self._errors = torch.zeros(0, 0), torch.zeros(0)

    def score(self, view: SelectionView) -> np.ndarray:
        """Return the guess of each frame's error."""
        self._learn(1 - self._last.similarity(view.history, view.skeleton))
        if not len(self._errors):
            return np.zeros(len(view))
        mean, errors = self._seen.mean(0), self._errors - self._errors.mean()
        centred = self._seen - mean
        kernel = centred @ centred.T + self.ridge * torch.eye(len(errors))
        weights = centred.T @ torch.linalg.solve(kernel, errors)
        return ((normalize(view.features) - mean) @ weights).numpy()

    def _learn(self, errors: Tensor) -> None:
        known = ~errors.isnan()
        if known.any():
            before = self._seen if len(self._seen) else self._features[:0]
            self._seen = torch.cat([before, self._features[known]])[-self.most :]
            self._errors = torch.cat([self._errors, errors[known]])[-self.most :]
        self._last.ids = self._last.ids[:0]

    def remember(self, view: SelectionView, positions: np.ndarray) -> None:
        """Keep what is predicted of the frames chosen, and their features."""
        self._last.ids, self._last.poses = view.ids[positions], view.predictions[positions]
        self._features = normalize(view.features[positions])

    def state_dict(self) -> dict[str, Any]:
        """Return the errors so far, and what was chosen last."""
        tensors = {"features": self._features, "seen": self._seen, "errors": self._errors}
        return {"last": self._last.state_dict(), **tensors}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._last.load_state_dict(state_dict["last"])
        self._features, self._seen, self._errors = (state_dict[name] for name in ("features", "seen", "errors"))
