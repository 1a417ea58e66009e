"""The stage that evaluates: predict a window, and take its errors, before any training could have seen it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pose_oad.metrics.keypoints import JointErrors, MissingRule, joint_errors
from pose_oad.metrics.people import PeopleErrors, check_people, holds_several, joints_of_frames, people_errors
from pose_oad.online.label_service import LabelService
from pose_oad.online.stage import Stage
from pose_oad.online.stopwatch import Stopwatch
from pose_oad.online.weights import Span
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.online.window_poses import predict_in_window
from pose_oad.poses.maps import People
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.students.keypoints import join_people
from pose_oad.teachers.base import Teacher
from pose_oad.tracking.errors import check

Predictor = Literal["student", "teacher"]


class Measured(NamedTuple):
    """What was measured of a window.

    Attributes:
        predictions: the student's keypoints, original px: of every frame of the window, shape (frames, joints, 3), or
            of the measured ones alone
        ids: stream numbers of the frames measured, shape (measured frames,)
        frame_errors: mean error of each frame's joints, px, shape (measured frames,); NaN where nothing counted
        frame_joints: how many joints count in each, shape (measured frames,)
        errors: errors of the joints, a row for every measured frame, or for every person of the reference in them
        labelled: the labels that these rows were measured against, px, shape (rows, joints, 3)
        scale: px of the reported metric per px of these labels, shape (rows,)
        people: who was matched with whom; None where one person per frame was measured
        to_teacher: where they are taken beside those to the truth, errors to the teacher, likewise
        counts: what the teacher was asked to measure alone, in whole numbers by name
    """

    predictions: Tensor
    ids: np.ndarray
    frame_errors: np.ndarray
    frame_joints: np.ndarray
    errors: JointErrors
    labelled: Tensor
    scale: Tensor
    people: PeopleErrors | None = None
    to_teacher: JointErrors | None = None
    counts: Mapping[str, int] = MappingProxyType({})


class _Reference(NamedTuple):
    """Who is measured against in some frames of a window.

    Attributes:
        positions: ascending positions of the frames
        people: original px, in the student's joint set, shape (positions, people, joints, 3)
        usable: in which frames absence means that nobody is there, bool, shape (positions,)
    """

    positions: np.ndarray
    people: Tensor
    usable: Tensor

    def take(self, rows: Tensor) -> _Reference:
        return _Reference(self.positions[rows.numpy()], self.people[rows], self.usable[rows])

    def person(self) -> Tensor:
        """Return the first person of each frame, zero where there is nobody, shape (positions, joints, 3)."""
        return self.people[:, :1].sum(1)


class Measurement(Stage):
    """Predict the frames of a window with the weights that serve, and measure the error.

    With a ground truth the error is the distance to it, and beside it the distance to the teacher is taken; without one
    it is the distance to the teacher. For that the teacher labels one candidate in ``teacher_every``; those calls are
    made for evaluation only and are counted apart.

    One person per frame is measured, each joint where its map is largest, against the first of the reference. From the
    first window on in which the reference holds several people in a frame, everybody is: the student's people are
    assembled from the same maps, and matched with the reference's (:mod:`pose_oad.metrics.people`). The errors are then
    those of the reference's people.

    As a reference, the teacher's own keypoints can be measured instead of the student's. Then every candidate is a
    teacher call like any other, and a joint that the teacher does not find has no location: where the rule asks for one
    all the same (``argmax``), it is left out.

    Args:
        rule: what becomes of joints that are not found
        truth_skeleton: joint set of the stream's ground truth; None where there is none
        teacher: who is measured against where there is no ground truth
        teacher_every: of the candidates, the teacher labels one in this many for evaluation; None takes no distance to
            the teacher beside that to the truth
        batch_size: frames per forward pass
        people: ``one`` person per frame, ``many`` from the start, or ``auto``
        predictor: whose keypoints are measured
        labels: labels the frames where the teacher is the predictor; None: the student is
        watch: where the time goes, as ``evaluate`` and ``predict``

    Attributes:
        several_from: number of the window from which on several people are measured; None as long as there is none

    Raises:
        UserError: if ``teacher_every`` is no positive number, or None without a truth, or ``people`` is refused.
    """

    def __init__(
        self,
        rule: MissingRule,
        truth_skeleton: Skeleton | None,
        teacher: Teacher,
        teacher_every: int | None = 1,
        batch_size: int = 64,
        people: Literal["auto", "one", "many"] = "auto",
        predictor: Predictor = "student",
        labels: LabelService | None = None,
        watch: Stopwatch | None = None,
    ) -> None:
        check_people(people)
        whole = isinstance(teacher_every, int) and teacher_every >= 1
        accepted = "a whole number, 1 or more" + ("" if truth_skeleton is None else ", or null")
        missing = teacher_every is None and truth_skeleton is not None
        check(whole or missing, "metric.teacher_every", teacher_every, accepted)
        self.rule, self.truth_skeleton = rule.validate(), truth_skeleton
        if predictor == "teacher" and rule.undetected_joints == "argmax":
            self.rule = replace(rule, undetected_joints="drop")
        self.evaluation_labels = LabelService(teacher, measuring=True)
        self.teacher_every, self.batch_size = teacher_every, batch_size
        self.predictor, self._labels = predictor, labels
        self.people, self.several_from = people, 0 if people == "many" else None
        self._watch = watch or Stopwatch()

    @property
    def against(self) -> Literal["truth", "teacher"]:
        """What errors are measured against: ``truth`` or ``teacher``."""
        return "truth" if self.truth_skeleton is not None else "teacher"

    @property
    def beside(self) -> bool:
        """Whether the distance to the teacher is taken beside that to the truth."""
        return self.against == "truth" and bool(self.teacher_every) and self.predictor == "student"

    def state_dict(self) -> dict[str, Any]:
        """Return since when several people are measured, and the calls to measure."""
        return {"several_from": self.several_from, "calls": self.evaluation_labels.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.several_from, self.evaluation_labels.calls = state["several_from"], state["calls"]

    def measure(self, window: FrameWindow, spans: Iterable[Span]) -> Measured:
        """Predict every frame of a window, and measure it.

        Args:
            window: the window
            spans: which network predicts which frames
        """
        return self._measure(window, spans, everywhere=True)

    def measure_like(self, window: FrameWindow, student: PoseStudent) -> Measured:
        """Measure another student by the same rule on the same frames; the others are not predicted.

        Args:
            window: the window
            student: the student
        """
        return self._measure(window, [Span(0, len(window), student)], everywhere=False)

    def _measure(self, window: FrameWindow, spans: Iterable[Span], everywhere: bool) -> Measured:
        spans = iter(spans)
        first = next(spans)
        skeleton = first.student.skeleton
        with self._watch("evaluate"):
            reference = self._reference(window, skeleton)
            if self.people == "auto" and self.several_from is None and holds_several(reference.people):
                self.several_from = window.index
        several = self.several_from is not None and window.index >= self.several_from
        if several:
            seen = np.isin(reference.positions, window.candidates) | (self.predictor == "student")
            reference = reference.take(reference.usable & torch.from_numpy(seen))
        with self._watch("predict" if everywhere else "evaluate"):
            frames = np.arange(len(window)) if everywhere else reference.positions
            grouped = reference.positions if several else None
            predicted, found = self._predict(window, [first], spans, frames, grouped)
        with self._watch("evaluate"):
            single = predicted[torch.from_numpy(reference.positions)] if everywhere else predicted
            measured = self._compare(window, reference, single, found, skeleton)
            to_teacher = None
            if self.beside and everywhere:
                labels = self._teacher_labels(window, skeleton)
                labels = labels.take(torch.from_numpy(np.isin(labels.positions, reference.positions)))
                rows = torch.from_numpy(np.isin(reference.positions, labels.positions))
                found = None if found is None else People(*(part[rows] for part in found))
                to_teacher = self._compare(window, labels, single[rows], found, skeleton).errors
        counts = self.evaluation_labels.take_counts()
        return measured._replace(predictions=predicted, to_teacher=to_teacher, counts=counts)

    def _predict(
        self, window: FrameWindow, first: list[Span], spans: Iterable[Span], positions: np.ndarray,
        grouped: np.ndarray | None,
    ) -> tuple[Tensor, People | None]:  # fmt: skip
        """Return the keypoints that are measured, of the student as it is now or the teacher, original px.

        Args:
            window: the window
            first: the first span
            spans: those behind it
            positions: frames in which one person is looked for
            grouped: those of them in which everybody is; None: in none
        """
        if self.predictor == "teacher" and self._labels is not None:
            skeleton = first[0].student.skeleton
            keypoints = torch.zeros(len(window), len(skeleton), 3)
            labels = self._labels.label(window, window.candidates)
            keypoints[torch.from_numpy(window.candidates)] = labels.person(skeleton)
            keypoints = keypoints[torch.from_numpy(positions)]
            if grouped is None:
                return keypoints, None
            everybody = self._labels.label(window, grouped).people(skeleton)
            return keypoints, People(everybody, everybody[..., 2].mean(-1))
        parts = []
        for span in itertools.chain(first, spans):
            inside = [None if of is None else of[(of >= span.start) & (of < span.stop)] for of in (positions, grouped)]
            parts.append(predict_in_window(span.student, window, self.batch_size, *inside))
        people = None if grouped is None else join_people([part.people for part in parts])
        return torch.cat([part.single for part in parts]), people

    def _reference(self, window: FrameWindow, skeleton: Skeleton) -> _Reference:
        """Return who is measured against: the truth where there is one, else the teacher's people."""
        truth = reveal(window)
        if truth is None or self.truth_skeleton is None:
            return self._teacher_labels(window, skeleton)
        people = map_keypoints(truth, self.truth_skeleton, skeleton)
        return _Reference(np.arange(len(window)), people, torch.ones(len(window), dtype=torch.bool))

    def _teacher_labels(self, window: FrameWindow, skeleton: Skeleton) -> _Reference:
        """Return the positions that the teacher labels for evaluation, and whom it finds there."""
        positions = window.candidates[:: self.teacher_every]
        labels = self.evaluation_labels.label(window, positions)
        usable = torch.ones(len(positions), dtype=torch.bool) if labels.unusable is None else ~labels.unusable
        return _Reference(positions, labels.people(skeleton), usable)

    def _compare(
        self, window: FrameWindow, reference: _Reference, single: Tensor, found: People | None, skeleton: Skeleton
    ) -> Measured:
        """Measure one person a frame, or whoever was found, in the reference's frames."""
        scale, labelled, people = window.metric_scale[reference.positions], reference.person(), None
        frame = torch.arange(len(labelled))
        if found is not None:
            people = people_errors(found, reference.people, skeleton, self.rule, scale)
            errors, labelled, frame = people.errors, people.people, people.frame
            scale = scale[frame]
        else:
            errors = joint_errors(single, labelled, self.rule, scale)
        ids = window.ids[reference.positions]
        means, joints = joints_of_frames(errors, frame, len(ids))
        return Measured(single, ids, means.numpy(), joints.numpy(), errors, labelled, scale, people)
