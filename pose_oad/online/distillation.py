"""Online distillation as a Lightning module: one batch is one window."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, cast

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from pose_oad.online.loop import Loop
from pose_oad.online.optimizer import Optimization
from pose_oad.online.window import FrameWindow
from pose_oad.students import PoseStudent


class OnlineDistillation(LightningModule):
    """Take every window of a stream through the loop; weights carry over to the next one.

    Args:
        loop: the stages that a window goes through

    Attributes:
        student: the network that trains, as it is now
    """

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.loop, self.student = loop, loop.learner.student.train()
        self.save_hyperparameters({"student": self.student.config.to_dict()})

    @cached_property
    def pretrained(self) -> PoseStudent:
        """The student as it is before the stream, where it is going to run; first read when the run begins."""
        return copy.deepcopy(self.student).requires_grad_(False).eval()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of all layers."""
        return self.loop.learner.optimization.build(self.student.parameters())

    def setup(self, stage: str) -> None:
        """Refuse a teacher that has no joint in common with the student.

        Raises:
            UserError: if there is none.
        """
        self.loop.labels.supplied(self.student.skeleton)

    def on_fit_start(self) -> None:
        """Keep the student as it is before the stream."""
        _ = self.pretrained
        self.loop.weights.started(self.student)

    def training_step(self, batch: FrameWindow, batch_idx: int) -> None:
        """Play a window."""
        self.loop.play(batch, _LightningSteps(self, self.loop.learner.optimization))


class _LightningSteps:
    """Lightning's way to make a step, which knows device and precision."""

    def __init__(self, module: LightningModule, optimization: Optimization) -> None:
        self._module, self._optimization = module, optimization

    def __call__(self, loss: Tensor) -> None:
        optimizer = cast(LightningOptimizer, self._module.optimizers(use_pl_optimizer=True))
        optimizer.zero_grad(set_to_none=True)
        self._module.manual_backward(loss)
        self._optimization.before_step(optimizer.param_groups)
        optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state)

    def forget(self) -> None:
        self._optimizer.state.clear()

    @property
    def _optimizer(self) -> torch.optim.Optimizer:
        return cast(torch.optim.Optimizer, self._module.optimizers(use_pl_optimizer=False))


def as_distillation(module: LightningModule) -> OnlineDistillation:
    """Narrow the module that Lightning hands to a callback.

    Raises:
        TypeError: if the callback is used with another kind of module.
    """
    if not isinstance(module, OnlineDistillation):
        raise TypeError(f"{type(module).__name__} is no OnlineDistillation")
    return module
