"""Sets that are good as a whole: near to every frame, or unlike each other and unsure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from callbacks.strategies.base import Scorer
from callbacks.strategies.embedded import By, Embedded
from callbacks.strategies.geometry import distances, nearest
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Positive


@dataclass(eq=False, repr=False)
class FacilityLocation(Embedded):
    """Choose, one after another, the frame that brings all frames most nearer to a labelled or chosen one.

    Source: submodular facility location, Wei, Iyer & Bilmes, ICML 2015.
    """

    by: By = "pose"
    scorer: Scorer = "live"

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose the frames nearest to everything."""
        everything, spacing = self.points(view), self.spacing(view)
        points, chosen = everything.take(view.candidates), list[int]()
        apart = distances(points, points)
        near = np.minimum(nearest(points, self.labelled(view, everything)), apart.max())
        while len(chosen) < view.budget:
            gain = np.maximum(near[:, None] - apart, 0).sum(0) * points.seen
            chosen.append(spacing.take_best(gain))
            near = np.minimum(near, apart[chosen[-1]])
        return view.candidates[chosen]


@dataclass(eq=False, repr=False)
class Dpp(Embedded):
    """Choose the set that a determinantal point process holds the likeliest, greedily: frames unsure and unlike.

    The kernel is q_i exp(-d² / 2 h²) q_j, h the median distance, q = exp(uncertainty / (2 temperature)); a frame's
    uncertainty is one less its mean confidence.

    Source: greedy inference of Chen, Zhang & Zhou, arXiv 1709.05135.

    Args:
        temperature: a small one lets uncertainty outweigh difference
    """

    by: By = "pose"
    scorer: Scorer = "live"
    temperature: Positive = 0.2

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose the likeliest set."""
        points, spacing = self.points(view).take(view.candidates), self.spacing(view)
        unsure = 1 - view.predictions[view.candidates, :, 2].mean(1).double().numpy()
        quality = np.exp(unsure / (2 * self.temperature)) * points.seen
        apart = distances(points, points).astype(np.float64)
        kernel = quality[:, None] * np.exp(-((apart / max(np.median(apart), 1e-6)) ** 2) / 2) * quality
        left, parts, chosen = kernel.diagonal().copy(), np.zeros((view.budget, len(apart))), list[int]()
        for step in range(view.budget):
            at = spacing.take_best(left)
            parts[step] = (kernel[at] - parts[:step, at] @ parts[:step]) / max(left[at], 1e-12) ** 0.5
            left = np.maximum(left - parts[step] ** 2, 0)
            chosen.append(at)
        return view.candidates[chosen]
