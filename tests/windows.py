"""Hand-made windows, and loops without a trainer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from callbacks.strategies import QueryStrategy
from callbacks.strategies.references import Everything
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.label_service import LabelService
from pose_oad.online.learner import Learner
from pose_oad.online.learning import Training
from pose_oad.online.loop import Loop
from pose_oad.online.measurement import Measurement
from pose_oad.online.options import TrainingOptions
from pose_oad.online.record import Choice, WindowRecord
from pose_oad.online.triggers import Always, Plan
from pose_oad.online.view import SelectionView, Situation
from pose_oad.online.window import FrameWindow, Segment
from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student
from pose_oad.teachers.base import Teacher
from pose_oad.teachers.truth import TruthTeacher

BODY = get_skeleton("body-12")


def make_window(
    frames: int,
    *,
    index: int = 0,
    size: int = 32,
    sizes: tuple[tuple[int, int], ...] = ((64, 64),),
    every: int = 1,
    metric_scale: float = 1.0,
    truth: torch.Tensor | None = None,
) -> FrameWindow:
    """Return a window of noise with one segment of equal length per frame size.

    Args:
        frames: its length
        index: its number in the stream; frame numbers begin at index * frames
        size: side of the student's square input, px
        sizes: width and height of the original frames of each segment, px
        every: one frame in this many is a candidate
        metric_scale: px of the metric per px of the original frames of every segment
        truth: shape (frames, people, 12, 3), original px; random where None
    """
    ids = np.arange(index * frames, (index + 1) * frames)
    bounds = np.linspace(0, frames, len(sizes) + 1).astype(int)
    generator = torch.Generator().manual_seed(index)
    return FrameWindow(
        index=index,
        frames=torch.randint(0, 256, (frames, size, size, 3), dtype=torch.uint8, generator=generator),
        ids=ids,
        candidates=np.flatnonzero(ids % every == 0),
        segments=tuple(
            Segment(
                f"clip {n}", int(a), int(b), FrameResize.of(s, (size, size), "letterbox"), metric_scale=metric_scale
            )
            for n, (s, a, b) in enumerate(zip(sizes, bounds[:-1], bounds[1:], strict=True))
        ),
        truth_skeleton=get_skeleton("body-12"),
        _sealed_truth=torch.rand(frames, 1, 12, 3, generator=generator) * 60 + 1 if truth is None else truth,
    )


def small_student(size: int = 32) -> PoseStudent:
    """Return a small network of known weights."""
    torch.manual_seed(0)
    return build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(size, size)))


class Listed(QueryStrategy):
    """Choose given positions of each window."""

    def __init__(self, *positions: list[int]) -> None:
        super().__init__()
        self.positions = positions

    def select(self, view: SelectionView) -> np.ndarray:
        return np.array(self.positions[view.index], dtype=np.int64)


def make_loop(
    student: Any = None,
    teacher: Teacher | None = None,
    strategy: QueryStrategy | None = None,
    rate: float = 1.0,
    learner: Learner | None = None,
    teacher_every: int | None = None,
    **training: Any,
) -> Loop:
    """Return a loop of plain stages, measured against the truth.

    Args:
        student: the network; a small one where None
        teacher: who labels; the truth where None
        strategy: which frames are chosen; all where None
        rate: share of the frames that may be chosen
        learner: who trains; one with the ``training`` options where None
        teacher_every: as for :class:`Measurement`
        training: options of training
    """
    teacher, options = teacher or TruthTeacher(BODY), TrainingOptions(**training)
    learner = learner or Learner(small_student() if student is None else student, options)
    loop = Loop(
        Measurement(MissingRule(), BODY, TruthTeacher(BODY), teacher_every),
        Always(rate),
        strategy or Everything(),
        LabelService(teacher, (8, 8) if options.labels == "maps" else None),
        learner,
    )
    loop.weights.started(learner.student)
    return loop


class Steps:
    """Makes optimiser steps as Lightning would."""

    def __init__(self, loop: Loop) -> None:
        self.optimizer = OnlineDistillation(loop).configure_optimizers()
        self.state_dict, self.load_state_dict = self.optimizer.state_dict, self.optimizer.load_state_dict

    def __call__(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def forget(self) -> None:
        self.optimizer.state.clear()


def choose(
    strategy: QueryStrategy,
    window: FrameWindow,
    rate: float = 1.0,
    predictions: torch.Tensor | None = None,
    student: Any = None,
    labels: LabelService | None = None,
) -> Choice:
    """Choose frames of a window.

    Args:
        strategy: who chooses
        window: of which
        rate: share of its frames that may be chosen
        predictions: the student's, original px, shape (frames, 12, 3)
        student: the network; one that only has a joint set where None
        labels: asks the teacher; the truth where None
    """
    student = SimpleNamespace(skeleton=BODY) if student is None else student
    situation = Situation(window, student, labels or LabelService(TruthTeacher(BODY)), predictions)
    return strategy.choose(situation, Always(rate).labels(len(window)))


def play(loop: Loop, *windows: FrameWindow) -> list[WindowRecord]:
    """Take windows through a loop, one after another, with one optimiser."""
    steps = Steps(loop)
    return [loop.play(window, steps) for window in windows]


def record_of(window: FrameWindow, measured: Any = None, positions: Any = (), **more: Any) -> WindowRecord:
    """Return the record of a window in which little has happened.

    Args:
        window: the window
        measured: what was measured of it
        positions: the chosen positions
        more: other fields of the record, or the ``scores`` of its choice
    """
    choice = Choice(np.array(positions, dtype=np.int64), more.pop("scores", None))
    fields = {"plan": Plan(0), "labels": None, "training": Training(), "ready_s": None, "steps_before": 0, "counts": {}}
    return WindowRecord(window=window, measured=measured, choice=choice, **{**fields, **more})
