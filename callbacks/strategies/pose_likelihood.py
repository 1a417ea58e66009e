"""Poses that no body takes: what an auto-encoder of poses cannot reconstruct."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from callbacks.strategies.base import QueryStrategy, Scorer
from callbacks.strategies.geometry import pose_points
from pose_oad.online.view import SelectionView
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.schema import Count, Number, Share


@dataclass(eq=False, repr=False)
class PoseLikelihood(QueryStrategy):
    """Choose the frames whose poses a small auto-encoder reconstructs worst; it learns from the labels.

    It sees joints about their centre in units of the torso, and the direction of every limb, through layers of 12, 7,
    4, 7 and 12. In each window it goes on learning: from the latest labels, or, as long as there are few, from the
    window's own predictions, of which up to some 500 at equal distances, among which an odd pose stands out.

    Source: whole-body pose unnaturalness (WPU) of VATL4Pose, arXiv 2311.05041.

    Args:
        steps: of the auto-encoder in a window
        labels: from how many labels on it learns from these
        threshold: confidence from which a joint is found
    """

    scorer: Scorer = "live"
    steps: Count = 50
    labels: Number = 64
    threshold: Share = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._network: nn.Sequential | None = None
        self._weights: dict[str, Tensor] | None = None

    def score(self, view: SelectionView) -> np.ndarray:
        """Return the mean squared error over what is known of each pose; -inf where nothing is."""
        poses, known = _described(view.predictions, view.skeleton, self.threshold)
        labelled = view.history.poses[-512:]
        seen = known.any(1)
        learnt = tuple(part[seen][:: 1 + int(seen.sum()) // 512] for part in (poses, known))
        if len(labelled) >= max(1, self.labels):
            learnt = _described(labelled, view.skeleton, 0)
        network = self._network = self._network or self._made(poses.shape[1])
        if len(learnt[0]):
            self._learn(network, learnt[0], learnt[1])
        with torch.no_grad():
            error = _error(network, poses, known)
        return error.where(seen, -torch.inf).numpy()

    def _made(self, width: int) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            layers = [nn.Linear(*sizes) for sizes in pairwise((width, 12, 7, 4, 7, 12, width))]
        parts = [part for layer in layers[:-1] for part in (layer, nn.Tanh())]
        network = nn.Sequential(*parts, layers[-1])
        if self._weights is not None:
            network.load_state_dict(self._weights)
        return network

    @torch.enable_grad()
    def _learn(self, network: nn.Sequential, poses: Tensor, known: Tensor) -> None:
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(self.steps):
            optimizer.zero_grad()
            _error(network, poses, known).mean().backward()
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the auto-encoder's weights."""
        return {"weights": self._weights if self._network is None else self._network.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._network, self._weights = None, state_dict["weights"]


def _described(poses: Tensor, skeleton: Skeleton, threshold: float) -> tuple[Tensor, Tensor]:
    """Return joints and directions of limbs, and which of these are known, shape (poses, numbers) each."""
    points = pose_points(poses, skeleton, threshold)
    places, known = (part.unflatten(1, (-1, 2)) for part in points)
    start, end = torch.tensor(skeleton.limbs, dtype=torch.long).view(-1, 2).T
    limbs = torch.nn.functional.normalize(places[:, end] - places[:, start], dim=-1)
    both = known[:, start] * known[:, end]
    places = torch.cat([places * len(skeleton) ** 0.5, limbs * both], 1)
    return places.flatten(1), torch.cat([known, both], 1).flatten(1)


def _error(network: nn.Sequential, poses: Tensor, known: Tensor) -> Tensor:
    """Return the mean squared error of each pose over what is known, shape (poses,)."""
    return ((network(poses) - poses).square() * known).sum(1) / known.sum(1).clamp(min=1)
