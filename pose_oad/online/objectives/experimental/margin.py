"""How far the highest peak of a map stands above the second one (margin-MSE)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.tracking.schema import Number


class Margin(Objective):
    """Average the squared difference of the margins of student and labels over the known joints.

    Args:
        distance: cells around the highest one, along each axis, in which nothing is a second peak
    """

    auxiliary = True

    def __init__(self, distance: Number = 3) -> None:
        self.distance = distance

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean squared difference."""
        difference = (self._margin(outputs.confidence_maps) - self._margin(target.maps.confidence_maps)).square()
        counted = target.joints.to(difference.dtype)
        if target.weight is not None:
            counted = counted * target.weight.unsqueeze(1)
        total = (difference * counted).sum() / counted.sum().clamp(min=1)
        return Loss(total, {"margin": total.detach()})

    def _margin(self, maps: Tensor) -> Tensor:
        """Return the height of each map's highest cell above the highest one apart from it, shape (batch, channels)."""
        highest, place = maps.flatten(2).max(-1)
        marked = torch.zeros_like(maps).flatten(2).scatter_(2, place.unsqueeze(-1), 1.0).view_as(maps)
        around = max_pool2d(marked, 2 * self.distance + 1, stride=1, padding=self.distance) > 0
        return highest - maps.masked_fill(around, -torch.inf).amax((2, 3)).clamp(min=-1)
