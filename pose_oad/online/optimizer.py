"""How a gradient becomes a step: the optimiser, its learning rate within a window, and how large a gradient may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from pose_oad.tracking.schema import NotNegative, Number, Positive


@dataclass
class Optimization:
    """What trains the student in a window.

    Attributes:
        name: ``adam``, ``adamw`` or ``sgd``
        learning_rate: the largest of a window
        weight_decay: added to the gradient (adam, sgd), or taken off the weights (adamw)
        momentum: of sgd
        schedule: what becomes of the learning rate within a window: ``constant``, or down to nothing along a
            ``cosine`` or a ``linear`` slope
        warmup_steps: first steps of a window, in which the rate rises to its value
        clip: largest norm of all gradients together; None: any
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: Number = 0
    clip: Positive | None = None
    _planned: int = field(default=1, init=False)
    _done: int = field(default=0, init=False)

    def build(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimiser of a network's weights."""
        # Fused: otherwise a step over a handful of frames spends a sixth of its time on updating small tensors.
        if self.name == "sgd":
            return torch.optim.SGD(
                weights, self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay, fused=True
            )
        kind = torch.optim.AdamW if self.name == "adamw" else torch.optim.Adam
        return kind(weights, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)

    def opened(self, steps: int) -> None:
        """Begin a window.

        Args:
            steps: how many steps it has at most
        """
        self._planned, self._done = steps, 0

    def before_step(self, groups: Sequence[dict[str, Any]]) -> None:
        """Set the learning rate of the next step and limit its gradients.

        Args:
            groups: the optimiser's groups of parameters
        """
        rate = self.learning_rate * self._factor(self._done)
        self._done += 1
        for group in groups:
            group["lr"] = rate
        if self.clip is not None:
            weights = [weight for group in groups for weight in group["params"]]
            nn.utils.clip_grad_norm_(weights, self.clip)

    def _factor(self, step: int) -> float:
        """Return the share of the learning rate in a step, counted from 0."""
        rising = min(1.0, (step + 1) / (self.warmup_steps + 1))
        share = min(1.0, step / self._planned)
        falling = {"constant": 1.0, "cosine": (1 + math.cos(math.pi * share)) / 2, "linear": 1 - share}[self.schedule]
        return rising * falling
