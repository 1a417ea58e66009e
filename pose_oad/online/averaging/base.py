"""The contract of an average of weights, and the one that serves the latest."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pose_oad.online.stage import Stage
from pose_oad.students import PoseStudent

#: Weights from which the training of each window begins: those that the window before ended with, or the pre-trained.
Start = Literal["previous", "pretrained"]


class WeightAverage(Stage):
    """Say which network predicts while another one trains; buffers, as those of batch norm, belong to its weights.

    Args:
        start: weights, and buffers, from which the training of each window begins
    """

    start: Start = "previous"
    _pretrained: dict[str, Tensor] | None = None

    def __init__(self, start: Start = "previous") -> None:
        self.start = start

    def started(self, student: PoseStudent) -> None:
        """Keep the pre-trained weights, where they are wanted."""
        if self.start == "pretrained":
            self._pretrained = copy_of(student)

    def window_started(self, student: PoseStudent) -> None:
        """Go back to the pre-trained weights, if every window begins from them."""
        if self._pretrained is not None and self.start == "pretrained":
            student.load_state_dict(self._pretrained)

    def serving(self, student: PoseStudent) -> PoseStudent:
        """Return the network that predicts.

        Args:
            student: the network that trains
        """
        raise NotImplementedError


class LatestWeights(WeightAverage):
    """Predict with the weights that training has come to, as in the paper."""

    def serving(self, student: PoseStudent) -> PoseStudent:
        """Return the network that trains."""
        return student


def copy_of(student: PoseStudent) -> dict[str, Tensor]:
    """Return a copy of a student's weights and buffers by name."""
    return {name: value.detach().clone() for name, value in student.state_dict().items()}


@torch.no_grad()
def move(student: PoseStudent, others: dict[str, Tensor], share: float) -> None:
    """Move weights and buffers of a student towards others by a share of the way; whole numbers are taken over."""
    pairs = [(value, others[name].to(value.device)) for name, value in student.state_dict().items()]
    moved = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([value for value, _ in moved], [other for _, other in moved], share)
    for value, other in pairs:
        if not value.is_floating_point():
            value.copy_(other)
