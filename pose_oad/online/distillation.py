"""Online distillation: what happens to a student between two windows."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, cast, get_args, get_type_hints

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from pose_oad.offline.shuffling import order_seed
from pose_oad.online.label_service import LabelDesk
from pose_oad.online.objectives import map_loss
from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import KnownCells, MapTargets, known_cells
from pose_oad.poses.skeleton import Skeleton, joint_map, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.students.divergence import is_sound
from pose_oad.teachers.base import Teacher
from pose_oad.teachers.window_labels import WindowLabels, match_maps
from pose_oad.tracking.errors import check

_LOG = logging.getLogger(__name__)
#: Shows chosen frames and their people (input px) in a random view each; the number is the window's.
Augment = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]

# Largest size of rendered maps that are kept while a window is trained on.
_KEPT_BYTES = 2**28


@dataclass(frozen=True)
class TrainingOptions:
    """How the student trains on the frames chosen from one window.

    Attributes:
        budget: what is the same in every window with a choice: ``epochs`` over the chosen frames (the paper's; the
            steps then grow with the label budget) or optimiser ``steps`` (equal compute whatever the label budget)
        epochs: passes over the chosen frames, under ``budget=epochs``
        steps: optimiser steps per window, under ``budget=steps``
        batch_size: frames per optimiser step
        last_batch: what becomes of an epoch's last batch where it is not full: ``keep`` it, or ``drop`` it where there
            is a full one (the paper's)
        learning_rate: Adam's
        optimizer_state: ``fresh`` in every window (the paper's) or ``kept``
        batch_norm: ``train`` uses and updates batch statistics (the paper's), ``frozen`` keeps the stored ones
        foreground: additional weight of map cells where something is (see :func:`map_loss`); 0 is the paper's
        labels: ``keypoints`` renders the teacher's people to maps, ``maps`` uses the teacher's own maps
        undetected_joints: a joint that the teacher misses in a person is left out of the loss (``mask``), or taught to
            be nowhere (``background``, the paper's)
        augmentation: ``none``, or ``light``: one random view of each chosen frame, the same in every epoch
        seed: ``seed.model``, order of the frames
    """

    budget: Literal["epochs", "steps"] = "epochs"
    epochs: int = 10
    steps: int = 10
    batch_size: int = 32
    last_batch: Literal["keep", "drop"] = "keep"
    learning_rate: float = 1e-3
    optimizer_state: Literal["fresh", "kept"] = "fresh"
    batch_norm: Literal["train", "frozen"] = "train"
    foreground: float = 0.0
    labels: Literal["keypoints", "maps"] = "keypoints"
    undetected_joints: Literal["mask", "background"] = "mask"
    augmentation: Literal["none", "light"] = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse unusable values.

        Raises:
            UserError: naming the config key.
        """
        heavy = isinstance(self.foreground, int | float) and self.foreground >= 0
        check(heavy, "training.foreground", self.foreground, "a number, 0 or more")
        for key in ("epochs", "steps", "batch_size"):
            value = getattr(self, key)
            check(isinstance(value, int) and value >= 1, f"training.{key}", value, "a whole number, 1 or more")
        rate = self.learning_rate
        check(isinstance(rate, int | float) and rate > 0, "training.learning_rate", rate, "a number above 0")
        for key, accepted in get_type_hints(type(self)).items():
            if choices := get_args(accepted):
                value = getattr(self, key)
                check(value in choices, f"training.{key}", value, " or ".join(choices))
        moved = self.augmentation != "none" and self.labels == "maps"
        check(not moved, "training.augmentation", self.augmentation, "none with training.labels=maps")

    def trained(self, frames: int) -> int:
        """Return how many of some frames an epoch trains on."""
        full = frames - frames % self.batch_size
        return full if full and self.last_batch == "drop" else frames


class OnlineDistillation(LightningModule):
    """Label the chosen frames of each window and train the student on them.

    One batch is one window, to which the data module has given :attr:`desk`. Callbacks predict it and choose frames
    before :meth:`training_step` runs; weights carry over to the next window.

    Args:
        student: the network to adapt, pre-trained
        teacher: who labels the chosen frames
        options: how it trains on a window
        augment: shows the chosen frames in other views; None as they are

    Attributes:
        student: the network as it is now
        desk: asks the teacher, and counts
        optimizer_steps: optimiser steps so far
    """

    def __init__(
        self, student: PoseStudent, teacher: Teacher, options: TrainingOptions, augment: Augment | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.student, self.options, self.augment = student.train(), options, augment
        # Refuses a teacher without a joint in common.
        self._supplied = joint_map(teacher.skeleton, student.skeleton).any(1)
        self.desk = LabelDesk(teacher, student.map_size if options.labels == "maps" else None)
        self.optimizer_steps = 0
        self.save_hyperparameters({"student": student.config.to_dict()})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all layers."""
        # Fused: otherwise a step over a handful of frames spends a sixth of its time on updating small tensors.
        return torch.optim.Adam(self.student.parameters(), lr=self.options.learning_rate, fused=True)

    def training_step(self, batch: FrameWindow, batch_idx: int) -> None:
        """Label the chosen frames of a window, then train on them."""
        window, chosen = batch, batch.selected
        if not len(chosen):
            return
        labels = window.label(chosen)
        if labels.nobody.all():  # what background alone teaches is that nobody is ever there
            window.counts["windows_not_trained"] += 1
            return
        with window.phase("train"):
            adam = self.optimizers(use_pl_optimizer=False)
            if isinstance(adam, list):
                raise TypeError("one optimizer is configured")
            if self.options.optimizer_state == "fresh":
                adam.state.clear()
            before = copy.deepcopy((self.student.state_dict(), adam.state_dict()))
            loss = self._fit(window, labels)
            self.student.eval()
            with torch.no_grad():
                maps = self.student(self.student.normalise(window.frames[window.selected[:1]]))
            # The wait for the device: once a window, so that its time is training's.
            if not is_sound(self.student, loss, *maps):
                self.student.load_state_dict(before[0])
                adam.load_state_dict(before[1])
                window.counts["windows_rejected"] += 1
                _LOG.warning(
                    "window %d: training diverged (loss or weights are not finite): the weights before it are kept",
                    window.index,
                )

    def _fit(self, window: FrameWindow, labels: WindowLabels) -> Tensor:
        """Run the epochs, or the fixed number of steps, over the chosen frames; return the sum of the losses."""
        optimizer = cast(LightningOptimizer, self.optimizers(use_pl_optimizer=True))
        frames = window.frames[torch.from_numpy(window.selected)]
        self.student.trained_with(self.options.foreground)
        skeleton = self.student.skeleton
        people, known = labelled_people(labels, window, skeleton, self._supplied)
        if self.augment is not None:
            frames, people = self.augment(frames, people, window.index)
        targets = _Targets(self.student, labels, people, known, self.options.undetected_joints == "mask")
        self.student.train()
        if self.options.batch_norm == "frozen":
            freeze_batch_norm(self.student)
        total = torch.zeros((), device=self.device)
        for rows in self._batches(len(frames), window.index):
            images = self.student.normalise(frames[rows])
            maps, fields = self.student(images)
            target, joints, cells = targets.of(rows)
            loss = map_loss(
                maps,
                fields,
                target,
                skeleton,
                joints,
                limb_mask=targets.known_limbs,
                cells=cells,
                foreground=self.options.foreground,
            )
            optimizer.zero_grad(set_to_none=True)
            self.manual_backward(loss)
            optimizer.step()
            total += loss.detach()
            self.optimizer_steps += 1
            window.counts["optimizer_steps"] += 1
        return total

    def _batches(self, frames: int, window_index: int) -> Iterator[Tensor]:
        """Yield rows of the chosen frames, shuffled anew in every epoch."""
        generator = torch.Generator().manual_seed(order_seed(self.options.seed, window_index))
        trained = self.options.trained(frames)
        per_epoch = -(-trained // self.options.batch_size)
        steps = self.options.steps if self.options.budget == "steps" else self.options.epochs * per_epoch
        while steps > 0:
            for rows in torch.randperm(frames, generator=generator)[:trained].split(self.options.batch_size)[:steps]:
                steps -= 1
                yield rows


class _Targets:
    """Maps to train towards.

    Rendered ones are made once for all epochs where they take little memory, otherwise batch by batch.

    Attributes:
        known_limbs: which limbs the labels have a field for, shape (limbs,); None: all
    """

    def __init__(
        self, student: PoseStudent, labels: WindowLabels, people: Tensor, known: Tensor, mask_undetected: bool
    ) -> None:
        self._student, self._mask_undetected = student, mask_undetected
        self._device = student.scale.device
        self._maps: MapTargets | None = None
        self.known_limbs: Tensor | None = None
        self._keypoints, self._known = people, known
        if labels.confidence_maps is not None:
            self._maps, known, limbs = match_maps(labels, student.skeleton)
            self._known = known.expand(len(self._keypoints), -1)
            if labels.unusable is not None:
                self._known = self._known & ~labels.unusable.unsqueeze(1)
            self.known_limbs = limbs.to(self._device)
        elif len(self._keypoints) * _map_bytes(student) <= _KEPT_BYTES:
            self._maps = self._render(self._keypoints)

    def of(self, rows: Tensor) -> tuple[MapTargets, Tensor, KnownCells | None]:
        """Return targets, known joints, shape (rows, joints), and known cells of some rows, on the student's device."""
        known, keypoints = self._known[rows].to(self._device), self._keypoints[rows].to(self._device)
        if self._maps is None:
            target = self._render(keypoints)
        else:
            target = MapTargets(*(part[rows].to(self._device) for part in self._maps))
        # In the teacher's own maps is what it misses.
        if self.known_limbs is not None or not self._mask_undetected:
            return target, known, None
        return target, known, known_cells(keypoints, target, self._student.skeleton, self._student.input_size)

    def _render(self, keypoints: Tensor) -> MapTargets:
        return self._student.targets(keypoints.to(self._device))


def labelled_people(
    labels: WindowLabels, window: FrameWindow, skeleton: Skeleton, supplied: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn a teacher's people into what a student is to learn.

    A frame without a person is background, where every joint is known to be absent, unless its labels are unusable:
    then nothing is known. What is known around a person that lacks a joint, :func:`known_cells` says.

    Args:
        labels: labels of the window's chosen frames
        window: where the frames are from
        skeleton: the student's joint set
        supplied: which of its joints the teacher's joint set has, bool, shape (joints,)

    Returns:
        the people, input px, shape (frames, people, joints, 3); of which joints anything is known, bool, shape
        (frames, joints).
    """
    keypoints = map_keypoints(labels.keypoints, labels.skeleton, skeleton)
    known = supplied.expand(len(keypoints), -1)
    if labels.unusable is not None:
        known = known & ~labels.unusable.unsqueeze(1)
    return window.to_input(keypoints, window.selected), known


def _map_bytes(student: PoseStudent) -> int:
    """Size of one frame's target maps."""
    width, height = student.map_size
    channels = len(student.skeleton) + 2 * len(student.skeleton.limbs)
    return channels * width * height * torch.float32.itemsize


def as_distillation(module: LightningModule) -> OnlineDistillation:
    """Narrow the module that Lightning hands to a callback.

    Raises:
        TypeError: if the callback is used with another kind of module.
    """
    if not isinstance(module, OnlineDistillation):
        raise TypeError(f"{type(module).__name__} is no OnlineDistillation")
    return module


def freeze_batch_norm(module: nn.Module) -> None:
    """Put every batch-norm layer into evaluation mode, so that its stored statistics are used and kept."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
