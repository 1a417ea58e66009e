"""Predict, then train: the errors of a stream, each taken before any training could have seen the frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from callbacks.observer import Observer
from pose_oad.metrics.keypoints import DetectionRate, Mpjpe, Pck, torso_length
from pose_oad.metrics.people import PeopleScores
from pose_oad.metrics.stream import stream_means, stream_parts
from pose_oad.online.measurement import Measured, Measurement
from pose_oad.online.record import WindowRecord
from pose_oad.poses.skeleton import Skeleton


class PrequentialEvaluation(Observer):
    """Add up what the loop has measured of each window.

    Args:
        measurement: the stage that measures
        skeleton: joint set of the student

    Attributes:
        frame_ids: stream numbers of the frames measured so far, an array per window
        frame_errors: mean error of each of those frames, px; NaN where nothing counted
        frame_joints: how many joints count in each of those frames
        metrics: the stream's totals so far: ``mpjpe``, ``pck_px``, ``pck_torso``, ``detection``; ``teacher`` is
            the distance to the teacher beside that to the truth
        people_scores: precision of everybody, where several people are measured
    """

    def __init__(self, measurement: Measurement, skeleton: Skeleton) -> None:
        self.measurement, self.skeleton = measurement, skeleton
        self.frame_ids: list[np.ndarray] = []
        self.frame_errors: list[np.ndarray] = []
        self.frame_joints: list[np.ndarray] = []
        self.metrics: dict[str, Mpjpe | Pck | DetectionRate] = {
            "mpjpe": Mpjpe(len(skeleton)), "pck_px": Pck(3.0), "pck_torso": Pck(0.2), "detection": DetectionRate()
        }  # fmt: skip
        if measurement.beside:
            self.metrics["teacher"] = Mpjpe(len(skeleton))
        self.people_scores = PeopleScores()

    @property
    def who(self) -> str:
        """Who was measured, in words."""
        several = self.measurement.several_from is not None
        return "several people, matched by OKS" if several else "one person per frame, arg-max"

    @property
    def prefix(self) -> str:
        """How the error is called in logs: ``mpjpe`` against the truth, else ``teacher_distance``."""
        return "mpjpe" if self.measurement.against == "truth" else "teacher_distance"

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Add a window's errors."""
        measured = record.measured
        self.frame_ids.append(measured.ids)
        self.frame_errors.append(measured.frame_errors)
        self.frame_joints.append(measured.frame_joints)
        return self._add(measured)

    def _add(self, measured: Measured) -> dict[str, float]:
        """Update the stream's totals and return this window's own values, by logged name."""
        errors, torso = measured.errors, torso_length(measured.labelled, self.skeleton, measured.scale)
        mpjpe = self.metrics["mpjpe"](errors).tolist()
        values = {f"{self.prefix}_px": mpjpe[-1]}
        joints = self.skeleton.joints
        values |= {f"{self.prefix}_px/{joint}": value for joint, value in zip(joints, mpjpe, strict=False)}
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

    def summary(self) -> dict[str, float]:
        """Return the stream's totals: means over joints in all frames, the second half, the last third; by joint.

        Where several people were measured, their precision by the names of :meth:`PeopleScores.since` behind
        ``people/``, and of the last parts ``people/AP_second_half`` and ``people/AP_last_third``.
        """
        values = {f"{self.prefix}{part}_px": error for part, error in stream_means(*self.measured()).items()}
        if self.measurement.several_from is not None:
            values |= {f"people/{name}": value for name, value in self.people_scores.compute().items()}
            begins = stream_parts(self.measured()[0])
            values |= {f"people/AP{part}": self.people_scores.since(begin)["AP"] for part, begin in begins.items()}
        by_joint, joints = self.metrics["mpjpe"].compute().tolist(), self.skeleton.joints
        values |= {f"{self.prefix}_px/{joint}": error for joint, error in zip(joints, by_joint, strict=False)}
        if "teacher" in self.metrics:
            values["teacher_distance_px"] = float(self.metrics["teacher"].compute()[-1])
        values["pck_3px"] = float(self.metrics["pck_px"].compute())
        values["pck_02_torso"] = float(self.metrics["pck_torso"].compute())
        values["detection_rate"] = float(self.metrics["detection"].compute())
        values["evaluation_teacher_calls"] = float(self.measurement.evaluation_labels.calls)
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
