"""Online distillation: what happens to a student between two windows."""

from __future__ import annotations

import copy
import logging
from typing import cast

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from pose_oad.online.batch import LabelledBatch, labelled_batch
from pose_oad.online.label_service import LabelService
from pose_oad.online.learner import Learner, TrainingOptions
from pose_oad.online.window import FrameWindow
from pose_oad.poses.skeleton import joint_map
from pose_oad.students import PoseStudent
from pose_oad.students.divergence import is_sound
from pose_oad.teachers.base import Teacher

_LOG = logging.getLogger(__name__)


class OnlineDistillation(LightningModule):
    """Label the chosen frames of each window and train the student on them.

    One batch is one window, to which the data module has given :attr:`label_service`. Callbacks predict it and choose
    frames before :meth:`training_step` runs; weights carry over to the next window.

    Args:
        learner: trains the student, which is pre-trained
        teacher: who labels the chosen frames

    Attributes:
        student: the network that trains, as it is now
        label_service: asks the teacher, and counts
        optimizer_steps: optimiser steps so far
    """

    def __init__(self, learner: Learner, teacher: Teacher) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.learner, self.student = learner, learner.student.train()
        # Refuses a teacher without a joint in common.
        self._supplied = joint_map(teacher.skeleton, self.student.skeleton).any(1)
        self.label_service = LabelService(teacher, self.student.map_size if self.options.labels == "maps" else None)
        self.optimizer_steps = 0
        self.save_hyperparameters({"student": self.student.config.to_dict()})

    @classmethod
    def of(cls, student: PoseStudent, teacher: Teacher, options: TrainingOptions) -> OnlineDistillation:
        """Distil with the plain stages: no memory, no regulariser, the latest weights predict."""
        return cls(Learner(student, options), teacher)

    @property
    def options(self) -> TrainingOptions:
        """How the student trains on a window."""
        return self.learner.options

    @property
    def serving(self) -> PoseStudent:
        """The network that predicts."""
        return self.learner.average.serving(self.student)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of all layers."""
        return self.learner.optimization.build(self.student.parameters())

    def training_step(self, batch: FrameWindow, batch_idx: int) -> None:
        """Label the chosen frames of a window, then train on them."""
        window = batch
        if not len(window.selected):
            return
        labels = window.label(window.selected)
        if labels.nobody.all():  # what background alone teaches is that nobody is ever there
            window.counts["windows_not_trained"] += 1
            self.learner.keep(labelled_batch(window, labels, self.student.skeleton, self._supplied))
            return
        with window.phase("train"):
            self._learn(window, labelled_batch(window, labels, self.student.skeleton, self._supplied))

    def _learn(self, window: FrameWindow, batch: LabelledBatch) -> None:
        """Train on a window; what diverges is undone."""
        adam = self.optimizers(use_pl_optimizer=False)
        if isinstance(adam, list):
            raise TypeError("one optimizer is configured")
        if self.options.optimizer_state == "fresh":
            adam.state.clear()
        before = copy.deepcopy((self.student.state_dict(), adam.state_dict(), self.learner.before_window()))
        learnt = self.learner.learn(batch, window.index, self._step, window.frames)
        self.optimizer_steps += learnt.steps
        for name, count in learnt.counts.items():
            window.counts[name] += count
        window.counts["optimizer_steps"] += learnt.steps
        if learnt.undone:
            window.counts["steps_undone"] += learnt.undone
        self.student.eval()
        with torch.no_grad():
            maps = self.student(self.student.normalise(batch.frames[:1]))
        # The wait for the device: once a window, so that its time is training's.
        if is_sound(self.student, learnt.loss, *maps):
            self.learner.keep(batch)
            return
        self.student.load_state_dict(before[0])
        adam.load_state_dict(before[1])
        self.learner.undo(before[2])
        window.counts["windows_rejected"] += 1
        _LOG.warning(
            "window %d: training diverged (loss or weights are not finite): the weights before it are kept",
            window.index,
        )

    def _step(self, loss: Tensor) -> None:
        optimizer = cast(LightningOptimizer, self.optimizers(use_pl_optimizer=True))
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        self.learner.optimization.before_step(optimizer.param_groups)
        optimizer.step()


def as_distillation(module: LightningModule) -> OnlineDistillation:
    """Narrow the module that Lightning hands to a callback.

    Raises:
        TypeError: if the callback is used with another kind of module.
    """
    if not isinstance(module, OnlineDistillation):
        raise TypeError(f"{type(module).__name__} is no OnlineDistillation")
    return module
