"""EWC (online) and MAS: near the weights of before, each as much as it matters to what the student says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.regularisers.base import AppliesTo, Regulariser, frames_of
from pose_oad.online.regularisers.l2_sp import weights
from pose_oad.online.stage import frozen_copy
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Count, NotNegative, Share


class _Importance(Regulariser):
    """Add the squared distance to the weights at the end of the window before, each weighed by its importance.

    The importance is taken at the end of every window, frame by frame, on the last frames the window was trained on (or
    on those beside them), brought to a mean of 1, so that a strength means the same for every network, and added to
    what is left of the former one.

    Args:
        strength: of the penalty
        keep: share of the former importance that each window leaves
        frames: number of frames it is taken on
        applies_to: which frames
    """

    def __init__(
        self, strength: NotNegative, keep: Share = 0.9, frames: Count = 8, applies_to: AppliesTo = "labelled"
    ) -> None:
        self.strength, self.keep, self.frames, self.applies_to = strength, keep, frames, applies_to
        self.unlabelled_frames = frames if applies_to == "unlabelled" else 0
        self.importance = self._anchor = torch.empty(0)
        self._seen: Tensor | None = None

    def started(self, student: PoseStudent) -> None:
        """Begin with weights of which none matters yet."""
        self._anchor = weights(student).detach()
        self.importance = torch.zeros_like(self._anchor)

    def penalty(self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None) -> Tensor:
        """Return the penalty; zero in the first window."""
        seen = frames_of(self.applies_to, batch, unlabelled)
        self._seen = self._seen if seen is None else seen[: self.frames]
        now = weights(student)
        self.importance, self._anchor = self.importance.to(now.device), self._anchor.to(now.device)
        return self.strength * (self.importance * (now - self._anchor).square()).sum()

    def window_closed(self, student: PoseStudent) -> None:
        """Take the importance of the weights as they are now, and stay near them from now on."""
        if self._seen is not None:
            # The same noise in every window: nothing has to be remembered of it.
            noise = torch.Generator().manual_seed(0)
            network = frozen_copy(student).requires_grad_(True).eval()  # statistics of a single frame are none
            total = torch.stack([self._measure(network, frame, noise) for frame in self._seen.split(1)]).mean(0)
            self.importance = self.keep * self.importance + total / total.mean().clamp(
                min=torch.finfo(total.dtype).tiny
            )
        self._anchor, self._seen = weights(student).detach(), None

    def _measure(self, network: PoseStudent, frame: Tensor, noise: torch.Generator) -> Tensor:
        """Return what one frame says of the importance of each weight, shape (weights,)."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return importance and weights."""
        return {"importance": self.importance, "anchor": self._anchor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        self.importance, self._anchor = state["importance"], state["anchor"]


class Ewc(_Importance):
    """Elastic weight consolidation, online: the importance is the Fisher information, the mean squared gradient.

    The gradient is that of the likelihood of maps drawn from the student's own, with normal noise, so that it needs no
    labels and does not vanish where the student fits them.
    """

    def _measure(self, network: PoseStudent, frame: Tensor, noise: torch.Generator) -> Tensor:
        maps = _maps(network, frame)
        drawn = torch.randn(maps.shape, generator=noise).to(maps)
        return _gradient((maps * drawn).sum(), network).square()


class Mas(_Importance):
    """Memory-aware synapses: the importance is how much the squared length of what the student says depends on it."""

    def _measure(self, network: PoseStudent, frame: Tensor, noise: torch.Generator) -> Tensor:
        return _gradient(_maps(network, frame).square().sum(), network).abs()


def _maps(network: PoseStudent, frames: Tensor) -> Tensor:
    """Predict all map cells of some frames, with gradients, in one row."""
    return torch.cat([part.float().flatten() for part in network(network.normalise(frames))])


def _gradient(value: Tensor, network: PoseStudent) -> Tensor:
    """Return the gradient of a value by all weights, shape (weights,)."""
    return torch.cat([part.reshape(-1) for part in torch.autograd.grad(value, list(network.parameters()))])
