"""Predict, then train: the student as it is meets every window before any training could have seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pose_oad.metrics.keypoints import DetectionRate, JointErrors, MissingRule, Mpjpe, Pck, joint_errors, torso_length
from pose_oad.metrics.people import (
    PeopleErrors,
    PeopleScores,
    check_people,
    holds_several,
    joints_of_frames,
    people_errors,
)
from pose_oad.metrics.stream import stream_means, stream_parts
from pose_oad.online.distillation import as_distillation
from pose_oad.online.label_service import LabelService
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.online.window_poses import predict_in_window
from pose_oad.poses.maps import People
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.teachers.base import Teacher
from pose_oad.tracking.errors import check


class Measured(NamedTuple):
    """What was measured of a window.

    Attributes:
        ids: stream numbers of the frames measured, shape (measured frames,)
        frame_errors: mean error of each frame's joints, px, shape (measured frames,); NaN where nothing counted
        frame_joints: how many joints count in each, shape (measured frames,)
        errors: errors of the joints, a row for every measured frame, or for every person of the reference in them
        labelled: the labels that these rows were measured against, px, shape (rows, joints, 3)
        scale: px of the reported metric per px of these labels, shape (rows,)
        people: who was matched with whom; None where one person per frame was measured
        to_teacher: where they are taken beside those to the truth, errors to the teacher, likewise
    """

    ids: np.ndarray
    frame_errors: np.ndarray
    frame_joints: np.ndarray
    errors: JointErrors
    labelled: Tensor
    scale: Tensor
    people: PeopleErrors | None
    to_teacher: JointErrors | None


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


class PrequentialEvaluation(Callback):
    """Predict every frame of a window with the current weights and measure the error.

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
        predictor: whose keypoints are measured, ``student`` or ``teacher``
        people: ``one`` person per frame, ``many`` from the start, or ``auto``

    Attributes:
        frame_ids: stream numbers of the frames measured so far, an array per window
        frame_errors: mean error of each of those frames, px; NaN where nothing counted
        frame_joints: how many joints count in each of those frames
        metrics: the stream's totals so far: ``mpjpe``, ``pck_px``, ``pck_torso``, ``detection``; ``teacher`` is
            the distance to the teacher beside that to the truth
        latest: what was measured of the latest window
        people_scores: precision of everybody, where several people are measured
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
        predictor: Literal["student", "teacher"] = "student",
        people: Literal["auto", "one", "many"] = "auto",
    ) -> None:
        check_people(people)
        whole = isinstance(teacher_every, int) and teacher_every >= 1
        check(
            whole or (teacher_every is None and truth_skeleton is not None),
            "metric.teacher_every",
            teacher_every,
            "a whole number, 1 or more"
            + (", or null" if truth_skeleton is not None else " (there is no ground truth)"),
        )
        self.rule, self.truth_skeleton = rule.validate(), truth_skeleton
        if predictor == "teacher" and rule.undetected_joints == "argmax":
            self.rule = replace(rule, undetected_joints="drop")
        self.label_service = LabelService(teacher, count="evaluation_teacher_calls")
        self.teacher_every, self.batch_size, self.predictor = teacher_every, batch_size, predictor
        self.frame_ids: list[np.ndarray] = []
        self.frame_errors: list[np.ndarray] = []
        self.frame_joints: list[np.ndarray] = []
        self.metrics: dict[str, Mpjpe | Pck | DetectionRate] = {}
        self.people, self.several_from = people, 0 if people == "many" else None
        self.people_scores = PeopleScores()
        self._joints: Sequence[str] = ()
        self.latest: Measured

    @property
    def against(self) -> str:
        """What errors are measured against: ``truth`` or ``teacher``."""
        return "truth" if self.truth_skeleton is not None else "teacher"

    @property
    def who(self) -> str:
        """Who was measured, in words."""
        several = self.several_from is not None
        return "several people, matched by OKS" if several else "one person per frame, arg-max"

    @property
    def prefix(self) -> str:
        """How the error is called in logs: ``mpjpe`` against the truth, else ``teacher_distance``."""
        return "mpjpe" if self.against == "truth" else "teacher_distance"

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the stream's totals, unless they were restored."""
        if not self.metrics:
            joints = len(as_distillation(pl_module).student.skeleton)
            self.metrics = {
                "mpjpe": Mpjpe(joints), "pck_px": Pck(3.0), "pck_torso": Pck(0.2), "detection": DetectionRate()
            }  # fmt: skip
            if self.against == "truth" and self.teacher_every and self.predictor == "student":
                self.metrics["teacher"] = Mpjpe(joints)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Predict one window and take its errors."""
        window: FrameWindow = batch
        skeleton = as_distillation(pl_module).student.skeleton
        measured = self.measure(window, as_distillation(pl_module).serving, beside="teacher" in self.metrics)
        self.latest = measured
        with window.phase("evaluate"):
            self.frame_ids.append(measured.ids)
            self.frame_errors.append(measured.frame_errors)
            self.frame_joints.append(measured.frame_joints)
            torso = torso_length(measured.labelled, skeleton, measured.scale)
            window.metrics.update(self._add(measured, torso, skeleton))

    def measure(
        self, window: FrameWindow, student: PoseStudent, beside: bool = False, everywhere: bool = True
    ) -> Measured:
        """Predict a window, and measure it by the rule of this evaluation, without adding anything to the totals.

        Args:
            window: the window
            student: the student as it is now
            beside: whether to take the distance to the teacher beside that to the truth
            everywhere: whether to predict every frame, and keep that in ``window.predictions``, or the measured ones
        """
        with window.phase("evaluate"):
            reference = self._reference(window, student.skeleton)
            if self.people == "auto" and self.several_from is None and holds_several(reference.people):
                self.several_from = window.index
        several = self.several_from is not None and window.index >= self.several_from
        if several:
            seen = np.isin(reference.positions, window.candidates) | (self.predictor == "student")
            reference = reference.take(reference.usable & torch.from_numpy(seen))
        with window.phase("predict" if everywhere else "evaluate"):
            frames = np.arange(len(window)) if everywhere else reference.positions
            single, found = self._predict(window, student, frames, reference.positions if several else None)
            if everywhere:
                window.predictions = single
                single = single[torch.from_numpy(reference.positions)]
        with window.phase("evaluate"):
            compared = self._compare(window, reference, single, found, student.skeleton)
            to_teacher = None
            if beside:
                labels = self._teacher_labels(window, student.skeleton)
                labels = labels.take(torch.from_numpy(np.isin(labels.positions, reference.positions)))
                rows = torch.from_numpy(np.isin(reference.positions, labels.positions))
                found = None if found is None else People(*(part[rows] for part in found))
                to_teacher = self._compare(window, labels, single[rows], found, student.skeleton).errors
        return compared._replace(to_teacher=to_teacher)

    def _predict(
        self, window: FrameWindow, student: PoseStudent, positions: np.ndarray, grouped: np.ndarray | None
    ) -> tuple[Tensor, People | None]:
        """Return the keypoints that are measured, of the student as it is now or the teacher, original px.

        Args:
            window: the window
            student: the student
            positions: frames in which one person is looked for
            grouped: those of them in which everybody is; None: in none
        """
        if self.predictor == "teacher":
            keypoints = torch.zeros(len(window), len(student.skeleton), 3)
            keypoints[torch.from_numpy(window.candidates)] = window.label(window.candidates).person(student.skeleton)
            keypoints = keypoints[torch.from_numpy(positions)]
            if grouped is None:
                return keypoints, None
            everybody = window.label(grouped).people(student.skeleton)
            return keypoints, People(everybody, everybody[..., 2].mean(-1))
        poses = predict_in_window(student, window, self.batch_size, positions, grouped)
        return poses.single, None if grouped is None else poses.people

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
        labels = self.label_service.label(window, positions)
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
        return Measured(ids, means.numpy(), joints.numpy(), errors, labelled, scale, people, None)

    def _add(self, measured: Measured, torso: Tensor, skeleton: Skeleton) -> dict[str, float]:
        """Update the stream's totals and return this window's own values, by logged name."""
        errors = measured.errors
        mpjpe = self.metrics["mpjpe"](errors).tolist()
        values = {f"{self.prefix}_px": mpjpe[-1]}
        self._joints = skeleton.joints
        values |= {f"{self.prefix}_px/{joint}": value for joint, value in zip(self._joints, mpjpe, strict=False)}
        values["pck_3px"] = float(self.metrics["pck_px"](errors))
        values["pck_02_torso"] = float(self.metrics["pck_torso"](errors, torso))
        values["detection_rate"] = float(self.metrics["detection"](errors))
        if measured.to_teacher is not None:
            values["teacher_distance_px"] = float(self.metrics["teacher"](measured.to_teacher)[-1])
        if measured.people is not None:
            self.people_scores.update(measured.ids, measured.people)
            own = PeopleScores()  # a metric's forward() would copy what the stream has left so far
            own.update(measured.ids, measured.people)
            values |= {f"people/{name}": value for name, value in own.compute().items()}
        return values

    def state_dict(self) -> dict[str, Any]:
        """Return the errors and totals so far."""
        return {
            "frame_ids": [torch.from_numpy(ids) for ids in self.frame_ids],
            "frame_errors": [torch.from_numpy(errors) for errors in self.frame_errors],
            "frame_joints": [torch.from_numpy(joints) for joints in self.frame_joints],
            "metrics": {name: dict(metric.metric_state) for name, metric in self.metrics.items()},
            "joints": list(self._joints),
            "calls": self.label_service.calls,
            "several_from": self.several_from,
            "people": dict(self.people_scores.metric_state),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from errors and totals returned by :meth:`state_dict`.

        Raises:
            ValueError: if a frame has no error, or an error no frame.
        """
        self.frame_ids = [ids.numpy() for ids in state_dict["frame_ids"]]
        self.frame_errors = [errors.numpy() for errors in state_dict["frame_errors"]]
        self.frame_joints = [joints.numpy() for joints in state_dict["frame_joints"]]
        if [ids.shape for ids in self.frame_ids] != [errors.shape for errors in self.frame_errors]:
            raise ValueError("frames and errors are not of one number")
        metrics = {**self.metrics, "people": self.people_scores}
        for name, values in {**state_dict["metrics"], "people": state_dict["people"]}.items():
            for key, value in values.items():
                setattr(metrics[name], key, value)
            metrics[name]._update_count = len(self.frame_ids)
        self._joints, self.label_service.calls = tuple(state_dict["joints"]), state_dict["calls"]
        self.several_from = state_dict["several_from"]

    def summary(self) -> dict[str, float]:
        """Return the stream's totals: means over joints in all frames, the second half, the last third; by joint.

        Where several people were measured, their precision by the names of :meth:`PeopleScores.since` behind
        ``people/``, and of the last parts ``people/AP_second_half`` and ``people/AP_last_third``.
        """
        values = {f"{self.prefix}{part}_px": error for part, error in stream_means(*self.measured()).items()}
        if self.several_from is not None:
            values |= {f"people/{name}": value for name, value in self.people_scores.compute().items()}
            begins = stream_parts(self.measured()[0])
            values |= {f"people/AP{part}": self.people_scores.since(begin)["AP"] for part, begin in begins.items()}
        by_joint = self.metrics["mpjpe"].compute().tolist()
        values |= {f"{self.prefix}_px/{joint}": error for joint, error in zip(self._joints, by_joint, strict=False)}
        if "teacher" in self.metrics:
            values["teacher_distance_px"] = float(self.metrics["teacher"].compute()[-1])
        values["pck_3px"] = float(self.metrics["pck_px"].compute())
        values["pck_02_torso"] = float(self.metrics["pck_torso"].compute())
        values["detection_rate"] = float(self.metrics["detection"].compute())
        values["evaluation_teacher_calls"] = float(self.label_service.calls)
        return values

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of all measured frames and their errors, px; shape (measured frames,) each."""
        return self.measured()[:2]

    def measured(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return numbers, errors (px) and counted joints of all measured frames; shape (measured frames,) each."""
        empty = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64)
        parts = self.frame_ids, self.frame_errors, self.frame_joints
        ids, errors, joints = (np.concatenate([none, *part]) for none, part in zip(empty, parts, strict=True))
        return ids, errors, joints
