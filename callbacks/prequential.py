"""Predict, then train: the student as it is meets every window before any training could have seen it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pose_oad.distillation import as_distillation
from pose_oad.errors import check
from pose_oad.metrics.keypoints import DetectionRate, JointErrors, MissingRule, Mpjpe, Pck, joint_errors, torso_length
from pose_oad.prediction import predict_keypoints
from pose_oad.skeleton import Skeleton, map_keypoints
from pose_oad.teachers.base import Teacher
from pose_oad.teachers.desk import LabelDesk
from pose_oad.window import FrameWindow, reveal


class PrequentialEvaluation(Callback):
    """Predict every frame of a window with the current weights and measure the error.

    With a ground truth the error is the distance to it. Without one it is the distance to the teacher, on one candidate
    in ``teacher_every``; those teacher calls are made for evaluation only and are counted apart.

    Args:
        rule: what becomes of joints that are not found
        truth_skeleton: joint set of the stream's ground truth; None where there is none
        teacher: who is measured against where there is no ground truth
        teacher_every: of the candidates, the teacher labels one in this many for evaluation
        batch_size: frames per forward pass

    Attributes:
        frame_ids: stream numbers of the frames measured so far, an array per window
        frame_errors: mean error of each of those frames, px; NaN where nothing counted
        metrics: the stream's totals so far: ``mpjpe``, ``pck_px``, ``pck_torso``, ``detection``

    Raises:
        UserError: if ``teacher_every`` is no positive number.
    """

    def __init__(
        self,
        rule: MissingRule,
        truth_skeleton: Skeleton | None,
        teacher: Teacher,
        teacher_every: int = 1,
        batch_size: int = 64,
    ) -> None:
        check(isinstance(teacher_every, int) and teacher_every >= 1, "metric.teacher_every", teacher_every, "1 or more")
        self.rule, self.truth_skeleton = rule.validate(), truth_skeleton
        self.desk = LabelDesk(teacher)
        self.teacher_every, self.batch_size = teacher_every, batch_size
        self.frame_ids: list[np.ndarray] = []
        self.frame_errors: list[np.ndarray] = []
        self.metrics: dict[str, Mpjpe | Pck | DetectionRate] = {}

    @property
    def against(self) -> str:
        """What errors are measured against: ``truth`` or ``teacher``."""
        return "truth" if self.truth_skeleton is not None else "teacher"

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the stream's totals, unless they were restored."""
        if not self.metrics:
            joints = len(as_distillation(pl_module).student.skeleton)
            self.metrics = {
                "mpjpe": Mpjpe(joints), "pck_px": Pck(3.0), "pck_torso": Pck(0.2), "detection": DetectionRate()
            }  # fmt: skip

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Predict one window and take its errors."""
        window: FrameWindow = batch
        student = as_distillation(pl_module).student
        with window.phase("predict"):
            window.predictions = window.to_frame(predict_keypoints(student, window.frames, self.batch_size))
        with window.phase("evaluate"):
            ids, errors, torso = self.errors(window, student.skeleton)
            self.frame_ids.append(ids)
            self.frame_errors.append(errors.per_frame().numpy().astype(np.float32))
            window.metrics.update(self._measure(errors, torso, student.skeleton))

    def errors(self, window: FrameWindow, skeleton: Skeleton) -> tuple[np.ndarray, JointErrors, Tensor]:
        """Measure a window's predictions by the rule of this evaluation, without adding them to its totals.

        Args:
            window: the window, predicted
            skeleton: joint set of the predictions

        Returns:
            stream numbers of the frames measured, shape (measured frames,); the errors of their joints; the torso's
            length in each, px, shape (measured frames,).
        """
        positions, labelled = self._labels(window, skeleton)
        predicted = window.predicted()[torch.from_numpy(positions)]
        errors = joint_errors(predicted, labelled, self.rule, window.metric_scale)
        return window.ids[positions], errors, torso_length(labelled, skeleton, window.metric_scale)

    def _labels(self, window: FrameWindow, skeleton: Skeleton) -> tuple[np.ndarray, Tensor]:
        """Return the positions that are measured and the best person there, shape (positions, joints, 3)."""
        truth = reveal(window)
        if truth is not None and self.truth_skeleton is not None:
            return np.arange(len(window)), map_keypoints(truth[:, 0], self.truth_skeleton, skeleton)
        positions = window.candidates[:: self.teacher_every]
        return positions, self.desk.label(window, positions).person(skeleton)

    def _measure(self, errors: JointErrors, torso: Tensor, skeleton: Skeleton) -> dict[str, float]:
        """Update the stream's totals and return this window's own values, by logged name."""
        mpjpe = self.metrics["mpjpe"](errors).tolist()
        prefix = "mpjpe" if self.against == "truth" else "teacher_distance"
        values = {f"{prefix}_px": mpjpe[-1]}
        values |= {f"{prefix}_px/{joint}": value for joint, value in zip(skeleton.joints, mpjpe, strict=False)}
        values["pck_3px"] = float(self.metrics["pck_px"](errors))
        values["pck_02_torso"] = float(self.metrics["pck_torso"](errors, torso))
        values["detection_rate"] = float(self.metrics["detection"](errors))
        return values

    def summary(self) -> dict[str, float]:
        """Return the totals over the stream: the means of all frames, of the second half and of the last third."""
        prefix = "mpjpe" if self.against == "truth" else "teacher_distance"
        ids, errors = self.curve()
        last = ids[-1] if len(ids) else 0
        parts = {"": 0.0, "_second_half": 1 / 2, "_last_third": 2 / 3}
        values = {f"{prefix}{part}_px": mean(errors[ids >= begin * (last + 1)]) for part, begin in parts.items()}
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
