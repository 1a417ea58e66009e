"""The stage that learns: batches of new and replayed frames, an objective, a regulariser, an average of weights."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pose_oad.offline.shuffling import order_seed
from pose_oad.online.augmentation import Augmentation, NoAugmentation, views_generator
from pose_oad.online.averaging import LatestWeights, WeightAverage
from pose_oad.online.batch import LabelledBatch, join
from pose_oad.online.evidence import HeldOut, Watch
from pose_oad.online.losses import Losses
from pose_oad.online.memory import Memory, NoMemory, ReplayContext
from pose_oad.online.objectives import MapRegression, Objective
from pose_oad.online.optimizer import Optimization
from pose_oad.online.options import TrainingOptions
from pose_oad.online.regularisers import NoRegulariser, Regulariser
from pose_oad.online.stage import Stage
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import check

# Largest size of rendered maps that are kept while a window is trained on.
_KEPT_BYTES = 2**28


class Optimise(Protocol):
    """How a loss becomes a step; Lightning's, which knows device and precision."""

    def __call__(self, loss: Tensor) -> None:
        """Forget the gradients of before, propagate the loss back, and step."""
        ...


class SourceFrames(Protocol):
    """The annotated source set, of which some is rehearsed."""

    def sample(self, n: int, rng: np.random.Generator) -> LabelledBatch:
        """Draw frames; their origin says so.

        Args:
            n: how many, 1 or more
            rng: random numbers of this window
        """
        ...


@dataclass(frozen=True)
class Learnt:
    """What training on a window came to.

    Attributes:
        steps: optimiser steps
        loss: sum of their losses, a scalar on the student's device
        undone: how many of the steps were gone back on, since labels held back were not learnt by them
        counts: what else happened, in whole numbers, by name
    """

    steps: int
    loss: Tensor
    undone: int = 0
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
        augment: shows frames in other views; None as they are
        optimization: makes steps of gradients; None Adam, as the options say
        source: what is rehearsed beside the stream; None nothing

    Raises:
        UserError: if the parts do not go together.
    """

    def __init__(
        self,
        student: PoseStudent,
        options: TrainingOptions,
        objective: Objective | None = None,
        memory: Memory | None = None,
        regulariser: Regulariser | None = None,
        average: WeightAverage | None = None,
        augment: Augmentation | None = None,
        optimization: Optimization | None = None,
        source: SourceFrames | None = None,
    ) -> None:
        self.student, self.options, self.source = student, options, source
        self.augment = NoAugmentation() if augment is None else augment
        self.objective = MapRegression(options.foreground) if objective is None else objective
        self.memory = NoMemory() if memory is None else memory  # an empty one is false
        self.regulariser, self.average = regulariser or NoRegulariser(), average or LatestWeights()
        self.optimization = optimization or Optimization(learning_rate=options.learning_rate)
        self.held_out = HeldOut(options.hold_out)
        self.losses = Losses(student, self.objective, options)
        maps = options.labels == "maps"
        check(not maps or self.augment.views == "none", "augmentation", "", "none with training.labels=maps")
        check(not maps or not options.source_share, "training.source_share", options.source_share, "0 with labels=maps")
        for stage in self._stages().values():
            stage.started(student)

    @property
    def serving(self) -> PoseStudent:
        """The network whose weights are published."""
        return self.average.serving(self.student)

    def learn(
        self,
        batch: LabelledBatch,
        window_index: int,
        optimise: Optimise,
        stream: Tensor | None = None,
        steps: int | None = None,
    ) -> Learnt:
        """Train on a window's labelled frames, and on what the memory gives back beside them.

        Args:
            batch: the new frames, 1 or more
            window_index: number of the window; with the seed it says in which order they come
            optimise: makes a step of a loss
            stream: all frames of the window, of which stages that learn without labels see some; None: they see none
            steps: how many are made; None: as the options say

        Returns:
            What it came to; :meth:`keep` takes the frames in, where that was sound.
        """
        student, total, made = self.student, torch.zeros((), device=self.student.scale.device), 0
        student.trained_with(self.objective.foreground)
        new, held = self.held_out.split(batch)
        views = views_generator(self.options.seed, window_index)
        if self.augment.views == "window":
            new = self.augment(new, views)
        self.memory.opened(self._context(new))
        alone = not len(self.memory) and not self._rehearsed and self.augment.views != "step"
        if new.maps is None and alone and len(new) * _map_bytes(student) <= _KEPT_BYTES:
            new = new.with_maps(student.targets(new.keypoints.to(student.scale.device)))
        student.train()
        if self.options.batch_norm == "frozen":
            freeze_batch_norm(student)
        stages = self._trained().values()
        for stage in reversed(stages):  # the average may change the weights from which the window begins
            stage.window_started(student)
        watch, unlabelled = self._watch(held), self._unlabelled(stream, window_index)
        deadline = time.perf_counter() + (self.options.seconds if self.options.unit == "seconds" else np.inf)
        for part in self._batches(new, window_index, steps):
            if self.augment.views == "step":
                part = self.augment(part.to(student.scale.device), views)
            others = next(unlabelled)
            outputs, target = self.losses.outputs(part.frames), self.losses.target(part)
            loss = self.objective(outputs, target._replace(unlabelled=others)).total
            penalty = self.regulariser.penalty(student, part, others)
            loss = loss if penalty is None else loss + penalty
            optimise(loss)
            for stage in stages:
                stage.after_step(student)
            if self.memory.needs_losses:
                self.memory.stepped(part.frame_ids, self.losses.each(outputs, target).cpu())
            total += loss.detach()
            made += 1
            if (watch is not None and watch.enough(made)) or time.perf_counter() >= deadline:
                break
        undone = 0 if watch is None else watch.go_back(made)
        for stage in stages:
            stage.window_closed(student)
        counts = {name: count for stage in stages for name, count in stage.counts().items()}
        return Learnt(made, total, undone, counts)

    def keep(self, batch: LabelledBatch) -> None:
        """Take the labelled frames of a window in whose training was sound, or on which none was worth it."""
        self.memory.add(self.held_out.keep(batch))

    def state_dict(self) -> dict[str, Any]:
        """Return the states of its own stages, by name."""
        return {name: stage.state_dict() for name, stage in self._stages().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hand each of its own stages its state."""
        for name, stage in self._stages().items():
            stage.load_state_dict(state[name])

    def before_window(self) -> dict[str, Any]:
        """Return a copy of what :meth:`learn` changes beside the student, for :meth:`undo`; nothing large is in it."""
        return {name: copy.deepcopy(stage.state_dict()) for name, stage in self._trained().items()}

    def undo(self, before: dict[str, Any]) -> None:
        """Go back to what :meth:`before_window` returned."""
        for name, stage in self._trained().items():
            stage.load_state_dict(before[name])

    def _trained(self) -> dict[str, Stage]:
        """Return what looks at every step, in this order: the average last, when weights are final."""
        return {"regulariser": self.regulariser, "objective": self.objective, "average": self.average}

    def _stages(self) -> dict[str, Stage]:
        return {"memory": self.memory, "held_out": self.held_out, **self._trained()}

    @property
    def _rehearsed(self) -> int:
        """Frames of the source set in each batch."""
        share = self.options.source_share if self.source is not None else 0.0
        return min(round(self.options.batch_size * share), self.options.batch_size - 1)

    def _batches(self, new: LabelledBatch, window_index: int, steps: int | None) -> Iterator[LabelledBatch]:
        """Yield what each step trains on: new frames, shuffled anew in every epoch, and beside them others."""
        options, rehearsed = self.options, self._rehearsed
        room = options.batch_size - rehearsed
        size = max(1, round(room * options.new_share)) if len(self.memory) else room
        rng = np.random.default_rng([order_seed(options.seed, window_index), 1])
        mixed = size < options.batch_size or self.augment.views == "step"
        planned = options.planned(len(new), size) if steps is None else steps
        self.optimization.opened(planned)
        full = mixed and (options.unit == "steps" or steps is not None)
        for rows in self._rows(len(new), size, window_index, planned, full):
            parts = [new.take(rows)]
            if room > size:
                parts.append(self.memory.sample(room - size, rng, self._context(parts[0])))
            if self.source is not None and rehearsed:
                parts.append(self.source.sample(rehearsed, rng))
            yield self._with_people(join(parts), new, rng)

    def _rows(self, frames: int, size: int, window_index: int, steps: int, full: bool = False) -> Iterator[Tensor]:
        """Yield rows of the new frames, so many at a time.

        Args:
            frames: how many there are
            size: how many make a batch
            window_index: number of the window
            steps: how many batches
            full: whether every batch is: beside other frames new ones keep their share, in other views they may come
                twice
        """
        generator = torch.Generator().manual_seed(order_seed(self.options.seed, window_index))
        trained = self.options.trained(frames)
        if full:
            epochs = -(-steps * size // frames)
            order = torch.cat([torch.randperm(frames, generator=generator) for _ in range(epochs)])
            yield from order[: steps * size].split(size)
            return
        while steps > 0:
            for rows in torch.randperm(frames, generator=generator)[:trained].split(size)[:steps]:
                steps -= 1
                yield rows

    def _with_people(self, part: LabelledBatch, new: LabelledBatch, rng: np.random.Generator) -> LabelledBatch:
        """Put new frames that show somebody in the place of empty ones beyond what a batch may have."""
        allowed = int(len(part) * (1 - self.options.people_share))
        surplus, people = part.empty.nonzero()[allowed:, 0], (~new.empty).nonzero()[:, 0]
        if not len(surplus) or not len(people):
            return part
        left = torch.ones(len(part), dtype=torch.bool)
        left[surplus] = False
        drawn = new.take(people[torch.from_numpy(rng.integers(len(people), size=len(surplus)))])
        return join([part.take(left), drawn])

    def judge(self, network: PoseStudent) -> float | None:
        """Return a network's mean loss on the labels held back so far; None where there are none."""
        held = self.held_out.earlier.kept
        return None if held is None else float(self.losses.of_frames(held, network).mean())

    def _watch(self, held: LabelledBatch | None) -> Watch | None:
        """Return what judges a window's training by the labels held back, if there are any."""
        parts = [part for part in (self.held_out.earlier.kept, held) if part is not None]
        if not self.options.hold_out or not parts:
            return None
        judged = join(parts)
        return Watch(
            lambda: float(self.losses.of_frames(judged, self.average.serving(self.student)).mean()),
            [self.student, self.average],
            self.options.check_every,
            self.options.patience,
        )

    def _context(self, new: LabelledBatch) -> ReplayContext:
        rate = self.optimization.learning_rate
        return ReplayContext(new, self.student, self.losses.of_batch, self.losses.of_frames, rate)

    def _unlabelled(self, stream: Tensor | None, window_index: int) -> Iterator[Tensor | None]:
        """Yield frames that are seen without their labels in each step, so many as the stages want."""
        wanted = max(stage.unlabelled_frames for stage in self._trained().values())
        rng = np.random.default_rng([order_seed(self.options.seed, window_index), 2])
        while True:
            drawn = None
            if stream is not None and wanted:
                drawn = stream[torch.from_numpy(rng.permutation(len(stream))[:wanted])]
            yield drawn


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
