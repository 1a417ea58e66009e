"""Partial updates: only some weights move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pose_oad.online.regularisers.base import Regulariser
from pose_oad.online.regularisers.l2_sp import weights
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import check


class CoordinateDescent(Regulariser):
    """Move the coordinates that the first step of each window moves most, and undo what steps do to the others (AMS).

    Args:
        share: of all coordinates, over all layers together
        chosen_by: the ``first_step`` of each window, or the last step of the ``window_before`` as if all had been free
            to move; the first window, which has none before it, chooses by its first step
    """

    def __init__(
        self,
        share: Annotated[float, Field(gt=0, le=1)] = 0.1,
        chosen_by: Literal["first_step", "window_before"] = "first_step",
    ) -> None:
        self.share, self.chosen_by = share, chosen_by
        self._moving = torch.empty(0, dtype=torch.bool)  # of all weights, one after another; none yet: all false
        self._chosen = False
        self._held = self._update = torch.empty(0)

    def started(self, student: PoseStudent) -> None:
        """Choose none yet."""
        self._moving = torch.zeros_like(weights(student), dtype=torch.bool)

    def window_started(self, student: PoseStudent) -> None:
        """Keep the weights from which updates are measured."""
        self._held = weights(student).detach()
        self._moving = self._moving.to(self._held.device)
        self._chosen = self.chosen_by == "window_before" and bool(self._moving.any())

    @torch.no_grad()
    def after_step(self, student: PoseStudent) -> None:
        """Undo what the step did to coordinates that are not chosen."""
        now = weights(student)
        self._update = (now - self._held).abs()
        if not self._chosen:
            self._moving, self._chosen = self._largest(), True
        self._held = now.where(self._moving, self._held)
        sizes = [parameter.numel() for parameter in student.parameters()]
        for parameter, part in zip(student.parameters(), self._held.split(sizes), strict=True):
            parameter.copy_(part.view(parameter.shape))

    def window_closed(self, student: PoseStudent) -> None:
        """Choose for the next window, if the last step of this one does."""
        if self.chosen_by == "window_before":
            self._moving = self._largest()

    def _largest(self) -> Tensor:
        """Mark the coordinates with the largest update."""
        return torch.zeros_like(self._moving).index_fill_(0, self._update.topk(self._count()).indices, True)

    def _count(self) -> int:
        return max(1, round(self.share * len(self._moving)))

    def counts(self) -> Mapping[str, int]:
        """Return the bytes of the update: a bit for each coordinate, two bytes for each that moves."""
        return {"update_bytes": -(-len(self._moving) // 8) + 2 * self._count()}

    def state_dict(self) -> dict[str, Any]:
        """Return the coordinates that are chosen."""
        return {"moving": self._moving}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        self._moving = state["moving"]


class LastLayers(Regulariser):
    """Move the last layers only; no gradients are computed for what comes before them (ShadowTutor).

    Args:
        layers: what their names begin with, as ``head`` or ``backbone.blocks.3``
    """

    def __init__(self, layers: Annotated[list[str], Field(min_length=1)]) -> None:
        self.layers = layers

    def started(self, student: PoseStudent) -> None:
        """Freeze the others.

        Raises:
            UserError: if no weight of the student has such a name.
        """
        names = [name for name, _ in student.named_parameters()]
        for layer in self.layers:
            known = sorted({".".join(name.split(".")[:2]) for name in names})
            check(any(_below(name, layer) for name in names), "regulariser.layers", layer, f"one of {', '.join(known)}")
        for name, parameter in student.named_parameters():
            parameter.requires_grad_(any(_below(name, layer) for layer in self.layers))


class BatchNormOnly(Regulariser):
    """Move scale and offset of batch-norm layers only."""

    def started(self, student: PoseStudent) -> None:
        """Freeze all other weights."""
        student.requires_grad_(False)
        for layer in student.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.requires_grad_(True)


def _below(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")
