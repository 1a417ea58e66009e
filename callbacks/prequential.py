"""Predict, then train: the student as it is meets every window before any training could have seen it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pose_oad.distillation import as_distillation
from pose_oad.errors import check
from pose_oad.metrics.keypoints import DetectionRate, JointErrors, MissingRule, Mpjpe, Pck, joint_errors, torso_length
from pose_oad.prediction import predict_keypoints
from pose_oad.skeleton import Skeleton, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.teachers.base import Teacher
from pose_oad.teachers.desk import LabelDesk
from pose_oad.window import FrameWindow, reveal


class PrequentialEvaluation(Callback):
    """Predict every frame of a window with the current weights and measure the error.

    With a ground truth the error is the distance to it, and beside it the distance to the teacher is taken; without one
    it is the distance to the teacher. For that the teacher labels one candidate in ``teacher_every``; those calls are
    made for evaluation only and are counted apart.

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

    Attributes:
        frame_ids: stream numbers of the frames measured so far, an array per window
        frame_errors: mean error of each of those frames, px; NaN where nothing counted
        metrics: the stream's totals so far: ``mpjpe``, ``pck_px``, ``pck_torso``, ``detection``; ``teacher`` is
            the distance to the teacher beside that to the truth

    Raises:
        UserError: if ``teacher_every`` is no positive number, or None where there is no truth.
    """

    def __init__(
        self,
        rule: MissingRule,
        truth_skeleton: Skeleton | None,
        teacher: Teacher,
        teacher_every: int | None = 1,
        batch_size: int = 64,
        predictor: Literal["student", "teacher"] = "student",
    ) -> None:
        whole = isinstance(teacher_every, int) and teacher_every >= 1
        check(
            whole or (teacher_every is None and truth_skeleton is not None),
            "metric.teacher_every",
            teacher_every,
            "a whole number, 1 or more"
            + (", or null" if truth_skeleton is not None else " (there is no ground truth)"),
        )
        self.rule, self.truth_skeleton = rule.validate(), truth_skeleton
        if predictor == "teacher" and rule.policy == "argmax":
            self.rule = rule._replace(policy="drop")
        self.desk = LabelDesk(teacher, count="evaluation_teacher_calls")
        self.teacher_every, self.batch_size, self.predictor = teacher_every, batch_size, predictor
        self.frame_ids: list[np.ndarray] = []
        self.frame_errors: list[np.ndarray] = []
        self.metrics: dict[str, Mpjpe | Pck | DetectionRate] = {}
        self._joints: Sequence[str] = ()

    @property
    def against(self) -> str:
        """What errors are measured against: ``truth`` or ``teacher``."""
        return "truth" if self.truth_skeleton is not None else "teacher"

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
        student = as_distillation(pl_module).student
        with window.phase("predict"):
            window.predictions = self.predict(window, student)
        with window.phase("evaluate"):
            ids, errors, torso = self.errors(window, student.skeleton)
            self.frame_ids.append(ids)
            self.frame_errors.append(errors.per_frame().numpy().astype(np.float32))
            window.metrics.update(self._measure(errors, torso, student.skeleton))
            if "teacher" in self.metrics:
                distance = self.metrics["teacher"](self._to_teacher(window, student.skeleton))
                window.metrics["teacher_distance_px"] = float(distance[-1])

    def predict(self, window: FrameWindow, student: PoseStudent) -> Tensor:
        """Return the keypoints that are measured: the student's as it is now, or the teacher's.

        Returns:
            Shape (frames, joints, 3), original px.
        """
        if self.predictor == "student":
            return window.to_frame(predict_keypoints(student, window.frames, self.batch_size))
        keypoints = torch.zeros(len(window), len(student.skeleton), 3)
        keypoints[torch.from_numpy(window.candidates)] = window.label(window.candidates).person(student.skeleton)
        return keypoints

    def errors(self, window: FrameWindow, skeleton: Skeleton) -> tuple[np.ndarray, JointErrors, Tensor]:
        """Measure a window's predictions by the rule of this evaluation, without adding them to its totals.

        Args:
            window: the window, predicted
            skeleton: joint set of the predictions

        Returns:
            stream numbers of the frames measured, shape (measured frames,); the errors of their joints; the torso's
            length in each, px, shape (measured frames,).
        """
        truth = reveal(window)
        if truth is not None and self.truth_skeleton is not None:
            positions, labelled = np.arange(len(window)), map_keypoints(truth[:, 0], self.truth_skeleton, skeleton)
        else:
            positions, labelled = self._teacher_labels(window, skeleton)
        errors = self._compare(window, positions, labelled)
        return window.ids[positions], errors, torso_length(labelled, skeleton, window.metric_scale[positions])

    def _to_teacher(self, window: FrameWindow, skeleton: Skeleton) -> JointErrors:
        return self._compare(window, *self._teacher_labels(window, skeleton))

    def _teacher_labels(self, window: FrameWindow, skeleton: Skeleton) -> tuple[np.ndarray, Tensor]:
        """Return the positions that the teacher labels for evaluation, and whom it finds there."""
        positions = window.candidates[:: self.teacher_every]
        return positions, self.desk.label(window, positions).person(skeleton)

    def _compare(self, window: FrameWindow, positions: np.ndarray, labelled: Tensor) -> JointErrors:
        predicted = window.predicted()[torch.from_numpy(positions)]
        return joint_errors(predicted, labelled, self.rule, window.metric_scale[positions])

    def _measure(self, errors: JointErrors, torso: Tensor, skeleton: Skeleton) -> dict[str, float]:
        """Update the stream's totals and return this window's own values, by logged name."""
        mpjpe = self.metrics["mpjpe"](errors).tolist()
        values = {f"{self.prefix}_px": mpjpe[-1]}
        self._joints = skeleton.joints
        values |= {f"{self.prefix}_px/{joint}": value for joint, value in zip(self._joints, mpjpe, strict=False)}
        values["pck_3px"] = float(self.metrics["pck_px"](errors))
        values["pck_02_torso"] = float(self.metrics["pck_torso"](errors, torso))
        values["detection_rate"] = float(self.metrics["detection"](errors))
        return values

    def state_dict(self) -> dict[str, Any]:
        """Return the errors and totals so far."""
        return {
            "frame_ids": [torch.from_numpy(ids) for ids in self.frame_ids],
            "frame_errors": [torch.from_numpy(errors) for errors in self.frame_errors],
            "metrics": {name: dict(metric.metric_state) for name, metric in self.metrics.items()},
            "joints": list(self._joints),
            "calls": self.desk.calls,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from errors and totals returned by :meth:`state_dict`."""
        self.frame_ids = [ids.numpy() for ids in state_dict["frame_ids"]]
        self.frame_errors = [errors.numpy() for errors in state_dict["frame_errors"]]
        for name, values in state_dict["metrics"].items():
            for key, value in values.items():
                setattr(self.metrics[name], key, value)
            self.metrics[name]._update_count = len(self.frame_ids)
        self._joints, self.desk.calls = tuple(state_dict["joints"]), state_dict["calls"]

    def summary(self) -> dict[str, float]:
        """Return the stream's totals: means of all frames, of the second half, of the last third, and by joint."""
        ids, errors = self.curve()
        last = ids[-1] if len(ids) else 0
        parts = {"": 0.0, "_second_half": 1 / 2, "_last_third": 2 / 3}
        values = {f"{self.prefix}{part}_px": mean(errors[ids >= begin * (last + 1)]) for part, begin in parts.items()}
        by_joint = self.metrics["mpjpe"].compute().tolist()
        values |= {f"{self.prefix}_px/{joint}": error for joint, error in zip(self._joints, by_joint, strict=False)}
        if "teacher" in self.metrics:
            values["teacher_distance_px"] = float(self.metrics["teacher"].compute()[-1])
        values["pck_3px"] = float(self.metrics["pck_px"].compute())
        values["pck_02_torso"] = float(self.metrics["pck_torso"].compute())
        values["detection_rate"] = float(self.metrics["detection"].compute())
        values["evaluation_teacher_calls"] = float(self.desk.calls)
        return values

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of all measured frames and their errors, px; shape (measured frames,) each."""
        if not self.frame_ids:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        return np.concatenate(self.frame_ids), np.concatenate(self.frame_errors)


def mean(values: np.ndarray) -> float:
    """Average the values that are not NaN; NaN where there are none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
