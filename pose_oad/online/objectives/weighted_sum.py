"""Several objectives at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget


class WeightedSum:
    """Add objectives up, each with its weight; the sum is an objective.

    Args:
        objectives: objectives by name
        weights: how much each counts, by the same names; 1 where nothing is said

    Raises:
        ValueError: if there is no objective, a weight has none, or they weigh foreground differently.
    """

    def __init__(self, objectives: Mapping[str, Objective], weights: Mapping[str, float] | None = None) -> None:
        self.objectives, self.weights = dict(objectives), dict(weights or {})
        unknown = self.weights.keys() - self.objectives.keys()
        if not self.objectives or unknown:
            raise ValueError(f"weights={sorted(unknown)}: expected names out of {sorted(self.objectives)}")
        foreground = {objective.foreground for objective in self.objectives.values()}
        if len(foreground) > 1:
            raise ValueError(f"foreground={sorted(foreground)}: expected one weight, by which confidences are read")
        self.foreground = foreground.pop()

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the weighted sum, and what each objective adds to it."""
        parts = {
            name: self.weights.get(name, 1.0) * objective(outputs, target).total
            for name, objective in self.objectives.items()
        }
        return Loss(torch.stack([*parts.values()]).sum(), {name: part.detach() for name, part in parts.items()})
