"""Frames of large and different gradients, were the student right about where its joints are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from callbacks.strategies.base import QueryStrategy, Scorer
from pose_oad.online.view import Look, SelectionView
from pose_oad.students import PoseStudent


def own_peaks(maps: Tensor, network: PoseStudent) -> Tensor:
    """Render what each confidence map would be if its highest cell were the joint's place; shape as ``maps``."""
    rows, columns = maps.shape[-2:]
    row, column = (maps.flatten(2).argmax(2) // columns, maps.flatten(2).argmax(2) % columns)
    spread = network.config.sigma * columns
    lines = [
        torch.exp(-(torch.arange(size, device=maps.device) - at.unsqueeze(-1)).square() / spread**2)
        for at, size in ((row, rows), (column, columns))
    ]
    return lines[0].unsqueeze(-1) * lines[1].unsqueeze(-2)


def last_layer_gradients(view: SelectionView) -> np.ndarray:
    """Return the gradient of half the squared error to :func:`own_peaks` by the last layer's weights of each joint.

    Returns:
        shape (frames, joints * width), float32.
    """

    def gradient(look: Look) -> Tensor:
        hidden = look.hidden.flatten(2)
        maps = look.maps[0]
        return ((maps - own_peaks(maps, view.network)).flatten(2) @ hidden.transpose(1, 2)).flatten(1).float()

    return view.per_frame(gradient).numpy()


@dataclass(eq=False, repr=False)
class Badge(QueryStrategy):
    """Choose frames by k-means++ on the gradients of the last layer: large ones, and unlike each other.

    Source: BADGE, Ash et al., arXiv 1906.03671, on maps.
    """

    costly = True
    scorer: Scorer = "live"

    def select(self, view: SelectionView) -> np.ndarray:
        """Draw frames with a chance that grows with the squared distance to those drawn; the largest comes first."""
        gradients, spacing = last_layer_gradients(view)[view.candidates], self.spacing(view)
        square = (gradients**2).sum(1, dtype=np.float64)
        near, chosen = square.copy(), list[int]()
        while len(chosen) < view.budget:
            free = spacing.free
            chance = near * free if (near * free).any() else free.astype(np.float64)
            first = int(chance.argmax())
            chosen.append(spacing.take(int(view.rng.choice(len(near), p=chance / chance.sum())) if chosen else first))
            apart = square + square[chosen[-1]] - 2 * gradients @ gradients[chosen[-1]]
            near = np.minimum(near, np.maximum(apart, 0))
        return view.candidates[chosen]


@dataclass(eq=False, repr=False)
class Vessal(QueryStrategy):
    """Decide frame by frame, as they come, with a chance that grows with how new a frame's gradient is.

    Frame t is accepted with the chance (k - chosen) / (N - t) of its volume g' S g by the mean volume so far; S is the
    inverse of the sum of the accepted gradients' outer products, 100 at first. What comes later has no say, and fewer
    than k may be accepted.

    Source: VeSSAL, Saran et al., arXiv 2303.02535.
    """

    costly = True
    scorer: Scorer = "live"

    def select(self, view: SelectionView) -> np.ndarray:
        """Accept frames in their order."""
        gradients, spacing = last_layer_gradients(view)[view.candidates].astype(np.float64), self.spacing(view)
        gradients /= max(1e-12, np.sqrt((gradients[0] ** 2).sum()))  # by the first: no later one is looked at
        volume, updates, chosen = 100 * (gradients**2).sum(1), list[np.ndarray](), list[int]()
        for at, chance in enumerate(view.rng.random(len(gradients))):
            rate = (view.budget - len(chosen)) / (len(gradients) - at)
            if spacing.free[at] and chance * volume[: at + 1].mean() <= rate * volume[at] and rate > 0:
                chosen.append(spacing.take(at))
                # Woodbury: S changes by -u u' / (1 + g' S g), u = S g; only products with gradients are needed.
                ahead = 100 * gradients @ gradients[at] - sum((u * u[at] for u in updates), np.zeros(len(gradients)))
                updates.append(ahead / (1 + volume[at]) ** 0.5)
                volume = np.maximum(volume - updates[-1] ** 2, 0)
        return view.candidates[np.array(chosen, dtype=np.int64)]
