"""Errors of a student over many videos: of all frames, and by what the videos are labelled with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from pose_oad.errors import UserError
from pose_oad.metrics.keypoints import DetectionRate, MissingRule, Mpjpe, Pck, joint_errors, torso_length
from pose_oad.prediction import predict_keypoints
from pose_oad.skeleton import Skeleton, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.window import FrameWindow, reveal


class GroupedErrors:
    """Errors so far: of all frames, of each joint, and of each subject, action and camera.

    Args:
        skeleton: joint set of the keypoints
        rule: what becomes of joints that are not found

    Attributes:
        frames: frames so far
    """

    def __init__(self, skeleton: Skeleton, rule: MissingRule) -> None:
        self.skeleton, self.rule = skeleton, rule
        self.frames = 0
        self._mpjpe, self._detection = Mpjpe(len(skeleton)), DetectionRate()
        self._pck_px, self._pck_torso = Pck(3.0), Pck(0.2)
        self._groups: dict[str, Mpjpe] = {}

    def update(
        self, predicted: Tensor, labelled: Tensor, scale: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        """Take in frames of one video.

        Args:
            predicted: shape (frames, joints, 3), px
            labelled: shape (frames, joints, 3), likewise; confidence 0 = no label
            scale: px of the reported image per px of the keypoints
            labels: the groups these frames belong to, as ``{"subject": "S9", "action": "Walking"}``
        """
        errors = joint_errors(predicted, labelled, self.rule, scale)
        self.frames += len(predicted)
        self._mpjpe.update(errors)
        self._detection.update(errors)
        self._pck_px.update(errors)
        self._pck_torso.update(errors, torso_length(labelled, self.skeleton, scale))
        for kind, name in (labels or {}).items():
            self._groups.setdefault(f"{kind}/{name}", Mpjpe(len(self.skeleton))).update(errors)

    def values(self) -> dict[str, float]:
        """Return the errors by name; NaN where nothing counted.

        Returns:
            ``mpjpe_px``, ``mpjpe_px/<kind>/<group>``, ``mpjpe_px/joint/<joint>`` (px), ``pck_3px``, ``pck_02_torso``
            and ``detection_rate`` (shares of the labelled joints).
        """
        *joints, mean = self._mpjpe.compute().tolist()
        return {
            "mpjpe_px": mean,
            **{f"mpjpe_px/{group}": float(self._groups[group].compute()[-1]) for group in sorted(self._groups)},
            **{f"mpjpe_px/joint/{joint}": value for joint, value in zip(self.skeleton.joints, joints, strict=True)},
            "pck_3px": float(self._pck_px.compute()),
            "pck_02_torso": float(self._pck_torso.compute()),
            "detection_rate": float(self._detection.compute()),
        }


def measure(
    windows: Iterable[FrameWindow], students: Mapping[str, PoseStudent], rule: MissingRule, batch_size: int = 64
) -> dict[str, GroupedErrors]:
    """Measure students against the ground truth of the same videos, decoded once for all of them.

    Args:
        windows: the videos; of each window the candidates are measured
        students: who is measured, by name
        rule: what becomes of joints that are not found
        batch_size: frames per forward pass

    Returns:
        The errors of each student, by its name.

    Raises:
        UserError: if the videos have no ground truth.
    """
    locators = {
        name: Locator(student.skeleton, partial(predict_keypoints, student, batch_size=batch_size))
        for name, student in students.items()
    }
    return measure_located(windows, locators, rule)


class Locator(NamedTuple):
    """Somebody who says where the joints of one person are.

    Attributes:
        skeleton: the joint set
        locate: takes RGB frames, uint8, shape (frames, height, width, 3), and returns input px on the CPU, shape
            (frames, joints, 3)
    """

    skeleton: Skeleton
    locate: Callable[[Tensor], Tensor]


def measure_located(
    windows: Iterable[FrameWindow], locators: Mapping[str, Locator], rule: MissingRule
) -> dict[str, GroupedErrors]:
    """Measure whoever says where joints are against the ground truth of the same videos, decoded once for all of them.

    Args:
        windows: the videos; of each window the candidates are measured
        locators: who is measured, by name
        rule: what becomes of joints that are not found

    Returns:
        The errors of each, by name, px.

    Raises:
        UserError: if the videos have no ground truth.
    """
    errors = {name: GroupedErrors(locator.skeleton, rule) for name, locator in locators.items()}
    for window in windows:
        rows = torch.from_numpy(window.candidates)
        if not len(rows):
            continue
        frames = window.frames[rows]
        for name, locator in locators.items():
            truth = true_person(window, locator.skeleton)
            predicted = locator.locate(frames)
            for segment in window.segments:
                inside = (rows >= segment.start) & (rows < segment.stop)
                found = segment.fit.to_frame(predicted[inside])
                errors[name].update(found, truth[rows[inside]], segment.metric_scale, segment.labels)
    return errors


def true_person(window: FrameWindow, skeleton: Skeleton) -> Tensor:
    """Open the ground truth of a window in a student's joint set. For evaluation only.

    Args:
        window: the window
        skeleton: the joint set wanted

    Returns:
        The first person of each frame, original px, shape (frames, joints, 3).

    Raises:
        UserError: if the window has no ground truth.
    """
    truth = reveal(window)
    if truth is None or window.truth_skeleton is None:
        raise UserError(f"stream: {window.segments[0].clip} has no ground truth; expected videos with one")
    return map_keypoints(truth[:, 0], window.truth_skeleton, skeleton)
