"""Uncertainty-based querying: the frames in which the student is least sure of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from callbacks.strategies.base import QueryStrategy, Scorer
from callbacks.strategies.error import MissingScore, check_missing
from pose_oad.online.view import SelectionView
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Count


class Confidence(QueryStrategy):
    """Choose the frames of lowest student confidence.

    A joint's uncertainty is one minus its confidence; a frame's is taken over its joints.

    Source: the paper, arXiv 2309.01612.

    Args:
        seed: as in :class:`QueryStrategy`
        scorer: as in :class:`QueryStrategy`
        min_gap: as in :class:`QueryStrategy`
        bins: as in :class:`QueryStrategy`
        reduce: how a frame's confidence follows from its joints': ``min`` (the paper's), ``mean`` or ``max``
        undetected_joints: what a joint that is not found counts: ``zero`` is the paper's rule (it has no say; a frame
            in which nothing is found ranks last), ``worst`` gives it confidence 0
        threshold: confidence from which a joint counts as found

    Raises:
        UserError: if a value is out of range.
    """

    def __init__(
        self,
        seed: int = 0,
        scorer: Scorer = "frozen",
        min_gap: Count = 1,
        bins: bool = False,
        reduce: Literal["min", "mean", "max"] = "min",
        undetected_joints: MissingScore = "zero",
        threshold: float = 0.1,
    ) -> None:
        super().__init__(seed, scorer, min_gap, bins)
        check(reduce in _REDUCE, "strategy.reduce", reduce, "min, mean or max")
        self.reduce, self.undetected_joints, self.threshold = reduce, check_missing(undetected_joints), threshold

    def score(self, view: SelectionView) -> np.ndarray:
        """Return each frame's uncertainty, in [0, 1]; -inf where the paper's rule drops the frame."""
        confidence = view.predictions[..., 2]
        found = confidence >= self.threshold
        if self.undetected_joints == "worst":
            confidence, counted = confidence.where(found, 0.0), torch.ones_like(found)
        else:
            counted = found
        uncertainty = 1 - _REDUCE[self.reduce](confidence, counted)
        return uncertainty.where(counted.any(1), -torch.inf).numpy()


def _mean(confidence: Tensor, counted: Tensor) -> Tensor:
    return (confidence * counted).sum(1) / counted.sum(1)


_REDUCE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "min": lambda confidence, counted: confidence.where(counted, torch.inf).amin(1),
    "mean": _mean,
    "max": lambda confidence, counted: confidence.where(counted, -torch.inf).amax(1),
}
