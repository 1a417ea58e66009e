"""Maps as distributions over the frame, at a temperature that falls within a window (DTS, arXiv 2511.13767)."""

from __future__ import annotations

import math
from typing import Literal

import torch

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Count, Positive

# A joint whose map is nowhere higher is not in the frame: where it is says nothing.
_PRESENT = 0.1


class SpatialKl(Objective):
    """Add the divergence from the labels' distribution over cells to the student's, times the temperature squared.

    A map h becomes the distribution softmax(h / (tau T)). How high a map stands does not change it: sum it with an
    objective that says that.

    Args:
        tau: sharpness of the distributions at T = 1
        schedule: of the temperature T: ``constant``, the hottest, or ``cosine``, from the hottest to the coldest
        hottest: T at a window's first step
        coldest: T from its last step on, under ``cosine``
        steps: steps after which it is coldest
    """

    auxiliary = True

    def __init__(
        self,
        tau: Positive = 0.1,
        schedule: Literal["constant", "cosine"] = "constant",
        hottest: Positive = 1.0,
        coldest: Positive = 1.0,
        steps: Count = 10,
    ) -> None:
        self.tau, self.schedule = tau, schedule
        self.hottest, self.coldest, self.steps = hottest, coldest, steps
        self._step = 0

    @property
    def temperature(self) -> float:
        """T at this step."""
        if self.schedule == "constant":
            return self.hottest
        done = min(1.0, self._step / self.steps)
        return self.coldest + (self.hottest - self.coldest) * (1 + math.cos(math.pi * done)) / 2

    def window_started(self, student: PoseStudent) -> None:
        """Begin with the first step's temperature."""
        self._step = 0

    def after_step(self, student: PoseStudent) -> None:
        """Go on to the next step's temperature."""
        self._step += 1

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean divergence of the known joints that are there."""
        maps, sharpness = target.maps.confidence_maps, 1 / (self.tau * self.temperature)
        logits = [(part * sharpness).flatten(2) for part in (outputs.confidence_maps, maps)]
        if target.cells is not None:
            logits = [part.masked_fill(~target.cells.joints.flatten(2), -1e4) for part in logits]
        student, label = (torch.log_softmax(part, -1) for part in logits)
        divergence = (label.exp() * (label - student)).sum(-1)
        counted = (target.joints & (maps.amax((2, 3)) > _PRESENT)).to(divergence.dtype)
        if target.weight is not None:
            counted = counted * target.weight.unsqueeze(1)
        total = self.temperature**2 * (divergence * counted).sum() / counted.sum().clamp(min=1)
        return Loss(total, {"kl": total.detach()})
