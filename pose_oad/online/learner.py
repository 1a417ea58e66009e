"""The stage that learns: batches of new and replayed frames, an objective, a regulariser, an average of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pose_oad.offline.shuffling import order_seed
from pose_oad.online.averaging import LatestWeights, WeightAverage
from pose_oad.online.batch import LabelledBatch, join
from pose_oad.online.memory import Memory, NoMemory
from pose_oad.online.objectives import MapOutputs, MapRegression, Objective, TrainingTarget
from pose_oad.online.regularisers import NoRegulariser, Regulariser
from pose_oad.online.stage import Stage
from pose_oad.poses.maps import MapTargets, known_cells
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Count, NotNegative, Positive

#: Shows chosen frames and their people (input px) in a random view each; the number is the window's.
Augment = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]

# Largest size of rendered maps that are kept while a window is trained on.
_KEPT_BYTES = 2**28


@dataclass(frozen=True)
class TrainingOptions:
    """How the student trains on the frames chosen from one window.

    Attributes:
        unit: what is the same in every window with a choice: ``epochs`` over the chosen frames (the paper's; the
            steps then grow with the label budget) or optimiser ``steps`` (equal compute whatever the label budget)
        epochs: passes over the chosen frames, under ``unit=epochs``
        steps: optimiser steps per window, under ``unit=steps``
        batch_size: frames per optimiser step
        new_share: share of each batch that is new, in (0, 1]; the memory, as far as it holds anything, fills the rest
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

    unit: Literal["epochs", "steps"] = "epochs"
    epochs: Count = 10
    steps: Count = 10
    batch_size: Count = 32
    new_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    last_batch: Literal["keep", "drop"] = "keep"
    learning_rate: Positive = 1e-3
    optimizer_state: Literal["fresh", "kept"] = "fresh"
    batch_norm: Literal["train", "frozen"] = "train"
    foreground: NotNegative = 0.0
    labels: Literal["keypoints", "maps"] = "keypoints"
    undetected_joints: Literal["mask", "background"] = "mask"
    augmentation: Literal["none", "light"] = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse combinations.

        Raises:
            UserError: naming the config key.
        """
        moved = self.augmentation != "none" and self.labels == "maps"
        check(not moved, "training.augmentation", self.augmentation, "none with training.labels=maps")

    def trained(self, frames: int) -> int:
        """Return how many of some frames an epoch trains on."""
        full = frames - frames % self.batch_size
        return full if full and self.last_batch == "drop" else frames


class Optimise(Protocol):
    """How a loss becomes a step; Lightning's, which knows device and precision."""

    def __call__(self, loss: Tensor) -> None:
        """Forget the gradients of before, propagate the loss back, and step."""
        ...


@dataclass(frozen=True)
class Learnt:
    """What training on a window came to.

    Attributes:
        steps: optimiser steps
        loss: sum of their losses, a scalar on the student's device
        counts: what else happened, in whole numbers, by name
    """

    steps: int
    loss: Tensor
    counts: Mapping[str, int] = field(default_factory=dict)


class Learner(Stage):
    """Train a student on labelled frames.

    Args:
        student: the network
        options: how
        objective: what its maps are drawn towards; None regresses maps as the options say
        memory: what is replayed; None keeps nothing
        regulariser: what holds the student back; None nothing
        average: which weights predict; None the latest
        augment: shows new frames in other views; None as they are
    """

    def __init__(
        self,
        student: PoseStudent,
        options: TrainingOptions,
        objective: Objective | None = None,
        memory: Memory | None = None,
        regulariser: Regulariser | None = None,
        average: WeightAverage | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.student, self.options, self.augment = student, options, augment
        self.objective = MapRegression(options.foreground) if objective is None else objective
        self.memory = NoMemory() if memory is None else memory  # an empty one is false
        self.regulariser, self.average = regulariser or NoRegulariser(), average or LatestWeights()
        for stage in self._stages().values():
            stage.started(student)

    def learn(
        self, batch: LabelledBatch, window_index: int, optimise: Optimise, stream: Tensor | None = None
    ) -> Learnt:
        """Train on a window's labelled frames, and on what the memory gives back beside them.

        Args:
            batch: the new frames, 1 or more
            window_index: number of the window; with the seed it says in which order they come
            optimise: makes a step of a loss
            stream: all frames of the window, of which stages that learn without labels see some; None: they see none

        Returns:
            What it came to; the memory has taken the frames in.
        """
        student, total, steps = self.student, torch.zeros((), device=self.student.scale.device), 0
        student.trained_with(self.objective.foreground)
        if self.augment is not None:
            frames, keypoints = self.augment(batch.frames, batch.keypoints, window_index)
            batch = replace(batch, frames=frames, keypoints=keypoints)
        new = batch
        if batch.maps is None and len(batch) * _map_bytes(student) <= _KEPT_BYTES and not len(self.memory):
            new = batch.with_maps(student.targets(batch.keypoints.to(student.scale.device)))
        student.train()
        if self.options.batch_norm == "frozen":
            freeze_batch_norm(student)
        stages = self._stages().values()
        for stage in reversed(stages):  # the average may change the weights from which the window begins
            stage.window_started(student)
        unlabelled = self._unlabelled(stream, window_index)
        for part in self._batches(new, window_index):
            others = next(unlabelled)
            loss = self.objective(self._outputs(part.frames), self._target(part, others)).total
            penalty = self.regulariser.penalty(student, part, others)
            loss = loss if penalty is None else loss + penalty
            optimise(loss)
            for stage in stages:
                stage.after_step(student)
            total += loss.detach()
            steps += 1
        for stage in stages:
            stage.window_closed(student)
        self.memory.add(batch)
        return Learnt(steps, total, {name: count for stage in stages for name, count in stage.counts().items()})

    def state_dict(self) -> dict[str, Any]:
        """Return the states of its own stages, by name."""
        return {name: stage.state_dict() for name, stage in self._stages().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hand each of its own stages its state."""
        for name, stage in self._stages().items():
            stage.load_state_dict(state[name])

    def _stages(self) -> dict[str, Stage]:
        """Return the stages in the order in which they look at a step: the average last, when weights are final."""
        stages = {"memory": self.memory, "regulariser": self.regulariser, "objective": self.objective}
        return stages | {"average": self.average}

    def _outputs(self, frames: Tensor) -> MapOutputs:
        student = self.student
        images = student.normalise(frames)
        if not self.objective.reads_features:
            return MapOutputs(*student(images))
        features = tuple(student.backbone(images))
        maps, fields = student.head(features)
        return MapOutputs(maps, fields, features)

    def _unlabelled(self, stream: Tensor | None, window_index: int) -> Iterator[Tensor | None]:
        """Yield frames that are seen without their labels, so many as the stages want."""
        wanted = max(stage.unlabelled_frames for stage in self._stages().values())
        rng = np.random.default_rng([order_seed(self.options.seed, window_index), 2])
        while True:
            frames = None
            if stream is not None and wanted:
                frames = stream[torch.from_numpy(rng.permutation(len(stream))[:wanted])]
            yield frames

    def _batches(self, new: LabelledBatch, window_index: int) -> Iterator[LabelledBatch]:
        """Yield what each step trains on: new frames, shuffled anew in every epoch, and replayed ones."""
        options = self.options
        size = max(1, round(options.batch_size * options.new_share)) if len(self.memory) else options.batch_size
        replay = np.random.default_rng([order_seed(options.seed, window_index), 1])
        for rows in self._rows(len(new), size, window_index):
            part = new.take(rows)
            missing = options.batch_size - size
            if missing and len(self.memory):
                old = self.memory.sample(missing, replay)
                origin = torch.ones(len(old), dtype=torch.int8) if old.origin is None else old.origin
                part = join([part, replace(old, origin=origin)])
            yield part

    def _rows(self, frames: int, size: int, window_index: int) -> Iterator[Tensor]:
        """Yield rows of the new frames, so many at a time."""
        options = self.options
        generator = torch.Generator().manual_seed(order_seed(options.seed, window_index))
        trained = options.trained(frames)
        steps = options.steps if options.unit == "steps" else options.epochs * -(-trained // size)
        while steps > 0:
            for rows in torch.randperm(frames, generator=generator)[:trained].split(size)[:steps]:
                steps -= 1
                yield rows

    def _target(self, batch: LabelledBatch, unlabelled: Tensor | None = None) -> TrainingTarget:
        """Return what a batch's maps are drawn towards, on the student's device."""
        student, own_maps = self.student, self.options.labels == "maps"
        device = student.scale.device
        keypoints, weight = batch.keypoints.to(device), batch.weight
        maps = MapTargets(*(part.to(device) for part in batch.maps)) if batch.maps else student.targets(keypoints)
        # In the teacher's own maps is what it misses.
        masked = self.options.undetected_joints == "mask" and not own_maps
        cells = known_cells(keypoints, maps, student.skeleton, student.input_size) if masked else None
        limbs = batch.known_limbs.to(device)
        weight = None if weight is None else weight.to(device)
        known = batch.known.to(device)
        return TrainingTarget(
            maps, student.skeleton, known, limbs, cells, weight, batch.frames, batch.origin, unlabelled
        )


def _map_bytes(student: PoseStudent) -> int:
    """Size of one frame's target maps."""
    width, height = student.map_size
    channels = len(student.skeleton) + 2 * len(student.skeleton.limbs)
    return channels * width * height * torch.float32.itemsize


def freeze_batch_norm(module: nn.Module) -> None:
    """Put every batch-norm layer into evaluation mode, so that its stored statistics are used and kept."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
