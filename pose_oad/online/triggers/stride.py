"""Triggers that ask the teacher less often while the student agrees with it.

Their arguments stand beside those of :class:`~pose_oad.online.triggers.TokenBucket`.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pose_oad.online.triggers.base import Outcome, WindowStats
from pose_oad.online.triggers.budget import TokenBucket
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.ensemble import similarity
from pose_oad.tracking.errors import require
from pose_oad.tracking.schema import Count, Positive

Inner = Annotated[float, Field(gt=0, lt=1)]


def mean_oks(people: Tensor, others: Tensor, skeleton: Skeleton) -> float:
    """Average the similarity (OKS) of persons one by one, shape (people, joints, 3) each, px.

    Pairs of which one has no joint are left out; NaN where none is left.
    """
    known = ((people[..., 2] > 0).any(-1) & (others[..., 2] > 0).any(-1)).nonzero()[:, 0].tolist()
    values = [similarity(people[at : at + 1], others[at : at + 1], skeleton) for at in known]
    return float(torch.stack(values).mean()) if values else float("nan")


@dataclass(eq=False, repr=False)
class JitnetStride(TokenBucket):
    """Double the stride between labels while the student is accurate, halve it below (JITNet, arXiv 1812.02699).

    Accuracy is the similarity (OKS) of student and teacher on the chosen frames. The stride is counted in those of the
    mean rate, since the published 8 to 64 frames are another rate; a window on which the student is accurate before
    any training is not trained on.

    Args:
        threshold: accuracy from which the student is good enough, in (0, 1)
        smallest: smallest stride, in multiples of 1 / rate
        largest: largest stride, likewise; eight times the smallest as published

    Attributes:
        stride: between labels, in multiples of 1 / rate
    """

    remembered: ClassVar[tuple[str, ...]] = ("stride",)

    threshold: Inner = 0.8
    smallest: Positive = 0.25
    largest: Positive = 2.0
    stride: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        require(self.smallest <= self.largest, "smallest", self.smallest, f"at most largest={self.largest:g}")

    def wanted(self, stats: WindowStats) -> float:
        """Return the window's labels at the stride of now."""
        return 1 / self.stride

    def satisfied(self, labelled: Tensor, predicted: Tensor, skeleton: Skeleton) -> bool:
        """Return whether the student is good enough on the chosen frames."""
        return mean_oks(labelled, predicted, skeleton) >= self.threshold

    def observe(self, outcome: Outcome) -> None:
        """Set the stride by the accuracy before training."""
        accuracy = mean_oks(outcome.labelled, outcome.predicted, outcome.skeleton)
        if accuracy == accuracy:
            self.stride = min(max(self.stride * self.factor(accuracy), self.smallest), self.largest)

    def factor(self, accuracy: float) -> float:
        """Return by what the stride is multiplied."""
        return 2.0 if accuracy >= self.threshold else 0.5


class ShadowTutorStride(JitnetStride):
    """Stretch the stride by how far the accuracy is from its threshold (ShadowTutor, arXiv 2003.10735)."""

    def factor(self, accuracy: float) -> float:
        """Return the published ratio: 1 at the threshold, 2 for a perfect student, 0 for one that finds nothing."""
        threshold = self.threshold
        if accuracy > threshold:
            return (accuracy + 1 - 2 * threshold) / (1 - threshold)
        return accuracy / threshold


@dataclass(eq=False, repr=False)
class AmsSamplingRate(TokenBucket):
    """Sample less while the teacher's labels change little (AMS's adaptive sampling rate, arXiv 2006.06628).

    The rate r is in [0.1, 1], as published: r ← r − 0.2 tanh(20 (φ − 0.6)), where φ is the similarity (OKS) of
    consecutive labels. A window gets r times ``most`` times its labels at the mean rate.

    Args:
        target: similarity that is aimed at
        gain: how much the rate changes at most
        most: what a window gets at r = 1, in windows' labels at the mean rate

    Attributes:
        share: r
    """

    remembered: ClassVar[tuple[str, ...]] = ("share",)

    target: Inner = 0.6
    gain: Positive = 0.2
    most: Positive = 2.0
    share: float = field(default=1.0, init=False)

    def wanted(self, stats: WindowStats) -> float:
        """Return the window's labels at the rate of now."""
        return self.share * self.most

    def observe(self, outcome: Outcome) -> None:
        """Set the rate by how much consecutive labels look alike."""
        alike = mean_oks(outcome.labelled[:-1], outcome.labelled[1:], outcome.skeleton)
        if alike == alike:
            change = self.gain * float(torch.tensor(20 * (alike - self.target)).tanh())
            self.share = min(max(self.share - change, 0.1), 1.0)


@dataclass(eq=False, repr=False)
class AmsTrainingRate(AmsSamplingRate):
    """Learn less often, too, while little changes (AMS's adaptive training rate).

    Below a rate r of 0.25 the time between two trained windows grows by ``longer_s`` after each, up to ``most_windows``
    windows; above 0.35 every window is learnt from again. Windows between are not labelled either: their labels are
    banked.

    Args:
        longer_s: by how much the time between two trained windows grows, s
        most_windows: how many windows it is at most

    Attributes:
        pause_s: time beyond a window's length that passes between two trained windows, s
        trained_s: time of the stream at which the last window that was learnt from closed, s
        length_s: length of a window, s
    """

    remembered: ClassVar[tuple[str, ...]] = ("share", "pause_s", "trained_s", "length_s")

    longer_s: Positive = 2.0
    most_windows: Count = 6
    pause_s: float = field(default=0.0, init=False)
    trained_s: float = field(default=0.0, init=False)
    length_s: float = field(default=0.0, init=False)

    def wanted(self, stats: WindowStats) -> float:
        """Return nothing before the time is up, and all that was saved since then."""
        self.length_s = stats.closed_s / (stats.index + 1)
        if self.pause_s and stats.closed_s < self.trained_s + self.length_s + self.pause_s - 1e-9:
            return 0.0
        self.trained_s = stats.closed_s
        return super().wanted(stats)

    def observe(self, outcome: Outcome) -> None:
        """Set the rate, and by it the pause."""
        super().observe(outcome)
        if self.share < 0.25:
            self.pause_s = min(self.pause_s + self.longer_s, (self.most_windows - 1) * self.length_s)
        elif self.share > 0.35:
            self.pause_s = 0.0
