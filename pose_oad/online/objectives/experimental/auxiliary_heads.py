"""Heads on earlier stages (OFA-KD): each level of the features is asked for the joints by a head of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import adaptive_max_pool2d

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.objectives.map_loss import masked_mse
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Positive


class AuxiliaryHeads(Objective):
    """Average, over the levels that the head reads, the squared error of what a 1x1 convolution predicts from them.

    The heads learn with an optimiser of their own, and are no part of the student.

    Args:
        learning_rate: Adam's
        sharpening: power to which the labels' maps are taken, above 1 for narrower peaks
        foreground: additional weight of map cells where something is
    """

    auxiliary = reads_features = True

    def __init__(self, learning_rate: Positive = 1e-3, sharpening: Positive = 1.0, foreground: float = 0.0) -> None:
        self.learning_rate, self.sharpening, self.weight = learning_rate, sharpening, foreground
        self._heads: nn.ModuleList
        self._optimizer: torch.optim.Optimizer

    def started(self, student: PoseStudent) -> None:
        """Make the heads, all zero: they draw no random numbers, and change nothing before they have learnt."""
        counts = student.backbone.feature_info.channels()
        self._heads = nn.ModuleList(nn.Conv2d(count, len(student.skeleton), 1) for count in counts)
        for parameter in self._heads.parameters():
            nn.init.zeros_(parameter)
        self._optimizer = torch.optim.Adam(self._heads.parameters(), self.learning_rate)

    def window_started(self, student: PoseStudent) -> None:
        """Follow the student to its device."""
        self._heads.to(student.scale.device)

    def after_step(self, student: PoseStudent) -> None:
        """Let the heads make their own step."""
        self._optimizer.step()
        self._optimizer.zero_grad()

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean of the levels' losses."""
        levels = []
        for head, features in zip(self._heads, outputs.features, strict=True):
            wanted = adaptive_max_pool2d(target.maps.confidence_maps, features.shape[2:]) ** self.sharpening
            levels.append(
                masked_mse(head(features), wanted, target.joints, foreground=self.weight, frame_weight=target.weight)
            )
        total = torch.stack(levels).mean()
        return Loss(total, {"auxiliary": total.detach()})

    def state_dict(self) -> dict[str, Any]:
        """Return the heads and their optimiser's state."""
        return {"heads": self._heads.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        self._heads.load_state_dict(state["heads"])
        self._optimizer.load_state_dict(state["optimizer"])
