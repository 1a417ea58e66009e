"""Triggers that learn when the student's own predictions say that something has changed."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.stats import ks_2samp
from torch import Tensor

from pose_oad.metrics.people import box_sizes
from pose_oad.online.triggers.base import Outcome, WindowStats
from pose_oad.online.triggers.budget import Rate, TokenBucket, WhenFull
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
    """Learn when a statistic of the predictions has changed, and in the first window; save up otherwise.

    Args:
        rate: see :class:`~pose_oad.online.triggers.TokenBucket`
        burst: likewise
        when_full: likewise
    """

    def __init__(self, rate: Rate = 0.1, burst: Positive = 8.0, when_full: WhenFull = "spend") -> None:
        super().__init__(rate, burst, when_full)

    def changed(self, predictions: Tensor) -> bool:
        """Return whether something has changed, and take the window's predictions in."""
        raise NotImplementedError

    def wanted(self, stats: WindowStats) -> float:
        """Return everything where something has changed."""
        return _ALL if stats.predictions is None or self.changed(stats.predictions.float().cpu()) else 0.0


class SvdRank(Drift):
    """Skip windows whose motion is simple, and as it was (after doi 10.1109/TCAD.2024.3453188; the rule is ours).

    The predicted joints of a window, a row per frame, less their mean, have a rank: the number of singular values that
    hold so much of their sum. Where it is small and has not changed, nothing new is there to learn.

    Args:
        energy: share of the sum of singular values that they hold
        small: largest rank of a simple motion
        tolerance: largest change of the rank that is none
        rate: see :class:`~pose_oad.online.triggers.TokenBucket`
        burst: likewise
        when_full: likewise
    """

    remembered = ("rank",)

    def __init__(
        self,
        energy: Annotated[float, Field(gt=0, lt=1)] = 0.99,
        small: Count = 12,
        tolerance: Number = 1,
        rate: Rate = 0.1,
        burst: Positive = 8.0,
        when_full: WhenFull = "spend",
    ) -> None:
        super().__init__(rate, burst, when_full)
        self.energy, self.small, self.tolerance, self.rank = energy, small, tolerance, -1.0

    def changed(self, predictions: Tensor) -> bool:
        """Compare the window's rank with that of the window before."""
        places = predictions[..., :2].flatten(1).double()
        sizes = torch.linalg.svdvals(places - places.mean(0))
        held = sizes.cumsum(0) / sizes.sum().clamp(min=1e-12)
        rank, before = int((held < self.energy).sum()) + 1, self.rank
        self.rank = float(rank)
        return before < 0 or rank > self.small or abs(rank - before) > self.tolerance


class PageHinkley(Drift):
    """Learn when the mean of a value has risen (Page-Hinkley's test), frame by frame.

    Values are standardised by the window after which the test last began: m ← m + (x − x̄ − δ), and it fires where
    m − min m > λ. It then begins anew.

    Args:
        value: ``uncertainty`` or ``speed`` of a frame
        delta: rise that is none, in standard deviations
        threshold: λ, sum of the rises that is a change, likewise
        rate: see :class:`~pose_oad.online.triggers.TokenBucket`
        burst: likewise
        when_full: likewise
    """

    remembered = ("mean", "spread", "total", "lowest")

    def __init__(
        self,
        value: Value = "uncertainty",
        delta: NotNegative = 0.5,
        threshold: Positive = 100.0,
        rate: Rate = 0.1,
        burst: Positive = 8.0,
        when_full: WhenFull = "spend",
    ) -> None:
        super().__init__(rate, burst, when_full)
        self.value, self.delta, self.threshold = value, delta, threshold
        self.mean, self.spread, self.total, self.lowest = 0.0, 0.0, 0.0, 0.0  # a spread of 0: not begun

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


class KolmogorovSmirnov(Drift):
    """Learn when a window's values are distributed otherwise than those of the last window that was learnt from.

    Neighbouring frames are alike, so that a small p alone says little: the largest distance of the two distributions
    must be large, too.

    Args:
        value: ``uncertainty`` or ``speed`` of a frame
        alpha: largest p of a change
        distance: smallest distance (the test's statistic) of a change
        rate: see :class:`~pose_oad.online.triggers.TokenBucket`
        burst: likewise
        when_full: likewise
    """

    remembered = ("reference",)

    def __init__(
        self,
        value: Value = "uncertainty",
        alpha: Annotated[float, Field(gt=0, lt=1)] = 0.01,
        distance: Share = 0.3,
        rate: Rate = 0.1,
        burst: Positive = 8.0,
        when_full: WhenFull = "spend",
    ) -> None:
        super().__init__(rate, burst, when_full)
        self.value, self.alpha, self.distance = value, alpha, distance
        self.reference: list[float] = []

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


class LossPlateau(TokenBucket):
    """Learn while the loss falls; then only look now and again, until it has risen.

    Args:
        patience: windows without a smaller loss after which it is flat
        improvement: share by which a loss must be smaller than the smallest so far
        rise: share by which a loss must be larger, for learning to begin again
        look_every: windows between two looks at a flat loss
        rate: see :class:`~pose_oad.online.triggers.TokenBucket`
        burst: likewise
        when_full: likewise

    Attributes:
        best: the smallest loss
        flat: windows that were learnt from since then
        rested: windows that were not since the last one that was
    """

    remembered = ("best", "flat", "rested")

    def __init__(
        self,
        patience: Count = 3,
        improvement: Share = 0.02,
        rise: NotNegative = 0.2,
        look_every: Count = 4,
        rate: Rate = 0.1,
        burst: Positive = 8.0,
        when_full: WhenFull = "spend",
    ) -> None:
        super().__init__(rate, burst, when_full)
        self.patience, self.improvement, self.rise, self.look_every = patience, improvement, rise, look_every
        self.best, self.flat, self.rested = _ALL, 0, 0

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
