"""Several objectives at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.stage import Several


class WeightedSum(Several, Objective):
    """Add objectives up, each with its weight; the sum is an objective.

    Args:
        objectives: objectives by name
        weights: how much each counts, by the same names; 1 where nothing is said

    Raises:
        ValueError: if there is no objective, a weight has none, or they weigh foreground differently.
    """

    def __init__(self, objectives: Mapping[str, Objective], weights: Mapping[str, float] | None = None) -> None:
        super().__init__("objectives", objectives, weights)
        self.objectives = dict(objectives)
        foreground = {objective.foreground for objective in objectives.values() if not objective.auxiliary}
        if len(foreground) > 1:
            raise ValueError(f"foreground={sorted(foreground)}: expected one weight, by which confidences are read")
        self.foreground, self.auxiliary = max(foreground, default=0.0), not foreground
        self.reads_features = any(objective.reads_features for objective in objectives.values())

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the weighted sum, and what each objective adds to it."""
        parts = {
            name: self.weights[name] * objective(outputs, target).total for name, objective in self.objectives.items()
        }
        return Loss(torch.stack([*parts.values()]).sum(), {name: part.detach() for name, part in parts.items()})
