"""Frames count by whether their step would help frames that are trusted (KD-AIF, arXiv 2501.02705)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pose_oad.online.batch import REPLAYED, SOURCE
from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.objectives.map_regression import MapRegression
from pose_oad.poses.maps import KnownCells, MapTargets
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import NotNegative


class InfluenceWeights(Objective):
    """Regress maps, each new frame weighed by sigmoid(sharpness · g · g_trusted).

    g is the gradient of the frame's loss by the weights of the last layers, g_trusted the mean of those of the trusted
    frames of the batch, which count 1. A batch without any is weighed alike.

    Args:
        sharpness: how strongly the product decides
        trusted: ``replayed`` frames, of the stream or not, or those of the ``source`` domain alone
        foreground: additional weight of map cells where something is
    """

    def __init__(
        self,
        sharpness: NotNegative = 1.0,
        trusted: Literal["replayed", "source"] = "replayed",
        foreground: NotNegative = 0.0,
    ) -> None:
        self.sharpness, self.foreground = sharpness, foreground
        self._from = REPLAYED if trusted == "replayed" else SOURCE
        self._regression = MapRegression(foreground)
        self._last: list[nn.Parameter] = []

    def started(self, student: PoseStudent) -> None:
        """Find the last layers.

        Raises:
            UserError: if a regulariser does not let them move.
        """
        layers = [getattr(student.head, name) for name in student.head.outputs]
        self._last = [parameter for layer in layers for parameter in layer.parameters()]
        moving = all(parameter.requires_grad for parameter in self._last)
        check(moving, "objective", "influence", "a regulariser under which the head's last layers move")

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean squared error over what is known, frames weighed."""
        return self._regression(outputs, target._replace(weight=self.weight(outputs, target)))

    def weight(self, outputs: MapOutputs, target: TrainingTarget) -> Tensor | None:
        """Return how much each frame counts, shape (batch,)."""
        trusted = None if target.origin is None else (target.origin >= self._from).to(target.joints.device)
        if trusted is None or trusted.all() or not trusted.any():
            return target.weight
        gradients = torch.stack([self._gradient(outputs, target, slice(i, i + 1)) for i in range(len(trusted))])
        influence = torch.sigmoid(self.sharpness * gradients @ gradients[trusted].mean(0))
        weight = influence.masked_fill(trusted, 1.0)
        return weight if target.weight is None else weight * target.weight

    def _gradient(self, outputs: MapOutputs, target: TrainingTarget, row: slice) -> Tensor:
        """Return the gradient of one frame's loss by the last layers' weights."""
        one = TrainingTarget(
            MapTargets(*(part[row] for part in target.maps)),
            target.skeleton,
            target.joints[row],
            target.limbs if target.limbs is None or target.limbs.ndim == 1 else target.limbs[row],
            None if target.cells is None else KnownCells(*(part[row] for part in target.cells)),
        )
        maps = MapOutputs(outputs.confidence_maps[row], outputs.part_affinity_fields[row])
        loss = self._regression(maps, one).total
        parts = torch.autograd.grad(loss, self._last, retain_graph=True, allow_unused=True)
        return torch.cat([part.reshape(-1) for part in parts if part is not None])
