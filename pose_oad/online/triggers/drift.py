"""Triggers that learn when the student's own predictions say that something has changed.

Their arguments stand beside those of :class:`~pose_oad.online.triggers.TokenBucket`.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.stats import ks_2samp
from torch import Tensor

from pose_oad.metrics.people import box_sizes
from pose_oad.online.triggers.base import Outcome, WindowStats
from pose_oad.online.triggers.budget import TokenBucket
from pose_oad.tracking.schema import Count, NotNegative, Number, Positive, Share

#: Value of a frame: ``uncertainty`` is 1 less the joints' mean confidence, ``speed`` their motion in body sizes.
Value = Literal["uncertainty", "speed"]

_ALL = float("inf")


def frame_values(predictions: Tensor, value: Value) -> np.ndarray:
    """Return the value of each frame by the student's predictions, shape (frames, joints, 3), px; shape (frames,)."""
    if value == "uncertainty":
        return (1 - predictions[..., 2].mean(1)).double().numpy()
    motion = (predictions[1:, :, :2] - predictions[:-1, :, :2]).norm(dim=-1).mean(1)
    size = box_sizes(predictions[1:]).norm(dim=-1).clamp(min=1.0)
    return torch.nn.functional.pad(motion / size, (1, 0)).double().numpy()


class Drift(TokenBucket):
    """Learn when a statistic of the predictions has changed, and in the first window; save up otherwise."""

    def changed(self, predictions: Tensor) -> bool:
        """Return whether something has changed, and take the window's predictions in."""
        raise NotImplementedError

    def wanted(self, stats: WindowStats) -> float:
        """Return everything where something has changed."""
        return _ALL if stats.predictions is None or self.changed(stats.predictions.float().cpu()) else 0.0


@dataclass(eq=False, repr=False)
class SvdRank(Drift):
    """Skip windows whose motion is simple, and as it was (after doi 10.1109/TCAD.2024.3453188; the rule is ours).

    The predicted joints of a window, a row per frame, less their mean, have a rank: the number of singular values that
    hold so much of their sum. Where it is small and has not changed, nothing new is there to learn.

    Args:
        energy: share of the sum of singular values that they hold
        small: largest rank of a simple motion
        tolerance: largest change of the rank that is none
    """

    remembered: ClassVar[tuple[str, ...]] = ("rank",)

    energy: Annotated[float, Field(gt=0, lt=1)] = 0.99
    small: Count = 12
    tolerance: Number = 1
    rank: float = field(default=-1.0, init=False)

    def changed(self, predictions: Tensor) -> bool:
        """Compare the window's rank with that of the window before."""
        places = predictions[..., :2].flatten(1).double()
        sizes = torch.linalg.svdvals(places - places.mean(0))
        held = sizes.cumsum(0) / sizes.sum().clamp(min=1e-12)
        rank, before = int((held < self.energy).sum()) + 1, self.rank
        self.rank = float(rank)
        return before < 0 or rank > self.small or abs(rank - before) > self.tolerance


@dataclass(eq=False, repr=False)
class PageHinkley(Drift):
    """Learn when the mean of a value has risen (Page-Hinkley's test), frame by frame.

    Values are standardised by the window after which the test last began: m ← m + (x − x̄ − δ), and it fires where
    m − min m > λ. It then begins anew.

    Args:
        value: ``uncertainty`` or ``speed`` of a frame
        delta: rise that is none, in standard deviations
        threshold: λ, sum of the rises that is a change, likewise
    """

    remembered: ClassVar[tuple[str, ...]] = ("mean", "spread", "total", "lowest")

    value: Value = "uncertainty"
    delta: NotNegative = 0.5
    threshold: Positive = 100.0
    mean: float = field(default=0.0, init=False)
    spread: float = field(default=0.0, init=False)  # 0: not begun
    total: float = field(default=0.0, init=False)
    lowest: float = field(default=0.0, init=False)

    def changed(self, predictions: Tensor) -> bool:
        """Add the window's values up."""
        values = frame_values(predictions, self.value)
        fired = not self.spread
        if not fired:
            sums = self.total + np.cumsum((values - self.mean) / self.spread - self.delta)
            lowest = np.minimum(np.minimum.accumulate(sums), self.lowest)
            fired = bool((sums - lowest > self.threshold).any())
            self.total, self.lowest = float(sums[-1]), float(lowest[-1])
        if fired:
            self.mean, self.spread = float(values.mean()), max(float(values.std()), 1e-6)
            self.total = self.lowest = 0.0
        return fired


@dataclass(eq=False, repr=False)
class KolmogorovSmirnov(Drift):
    """Learn when a window's values are distributed otherwise than those of the last window that was learnt from.

    Neighbouring frames are alike, so that a small p alone says little: the largest distance of the two distributions
    must be large, too.

    Args:
        value: ``uncertainty`` or ``speed`` of a frame
        alpha: largest p of a change
        distance: smallest distance (the test's statistic) of a change
    """

    remembered: ClassVar[tuple[str, ...]] = ("reference",)

    value: Value = "uncertainty"
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01
    distance: Share = 0.3
    reference: list[float] = field(default_factory=list, init=False)

    def changed(self, predictions: Tensor) -> bool:
        """Compare the window's values with those of the reference."""
        values = frame_values(predictions, self.value)
        fired = not self.reference
        if not fired:
            test = ks_2samp(self.reference, values)
            fired = bool(test.pvalue < self.alpha and test.statistic >= self.distance)
        if fired:
            self.reference = values.tolist()
        return fired


@dataclass(eq=False, repr=False)
class LossPlateau(TokenBucket):
    """Learn while the loss falls; then only look now and again, until it has risen.

    Args:
        patience: windows without a smaller loss after which it is flat
        improvement: share by which a loss must be smaller than the smallest so far
        rise: share by which a loss must be larger, for learning to begin again
        look_every: windows between two looks at a flat loss

    Attributes:
        best: the smallest loss
        flat: windows that were learnt from since then
        rested: windows that were not since the last one that was
    """

    remembered: ClassVar[tuple[str, ...]] = ("best", "flat", "rested")

    patience: Count = 3
    improvement: Share = 0.02
    rise: NotNegative = 0.2
    look_every: Count = 4
    best: float = field(default=_ALL, init=False)
    flat: int = field(default=0, init=False)
    rested: int = field(default=0, init=False)

    def wanted(self, stats: WindowStats) -> float:
        """Return a window's labels while the loss falls and for a look at it."""
        if self.flat < self.patience or self.rested + 1 >= self.look_every:
            self.rested = 0
            return 1.0
        self.rested += 1
        return 0.0

    def observe(self, outcome: Outcome) -> None:
        """Follow the loss."""
        if not outcome.steps:
            return
        if outcome.loss < self.best * (1 - self.improvement) or outcome.loss > self.best * (1 + self.rise):
            self.best, self.flat = outcome.loss, 0
        else:
            self.flat += 1
