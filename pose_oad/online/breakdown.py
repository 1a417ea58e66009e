"""Errors of a student over many videos: of all frames, and by what the videos are labelled with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pose_oad.metrics.keypoints import DetectionRate, JointErrors, MissingRule, Mpjpe, Pck, joint_errors, torso_length
from pose_oad.metrics.people import PeopleScores, holds_several, people_errors
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.online.window_poses import in_frame
from pose_oad.poses.maps import People
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.students.keypoints import PoseNetwork, Poses, Wanted
from pose_oad.tracking.errors import UserError


class Breakdown:
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
        self._people = PeopleScores()
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
        self.frames += len(predicted)
        self._add(joint_errors(predicted, labelled, self.rule, scale), labelled, scale, labels)

    def update_people(
        self, found: People, wanted: Tensor, scale: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        """Take in frames of one video in which several people are measured.

        Args:
            found: who was found in each frame, px
            wanted: who is there, shape (frames, people, joints, 3), likewise
            scale: as for :meth:`update`
            labels: as for :meth:`update`
        """
        measured = people_errors(found, wanted, self.skeleton, self.rule, scale)
        self._people.update(np.arange(self.frames, self.frames + len(wanted)), measured)
        self.frames += len(wanted)
        self._add(measured.errors, measured.people, scale, labels)

    def update_window(
        self, window: FrameWindow, positions: np.ndarray, single: Tensor, people: People | None = None
    ) -> None:
        """Take in frames of a window, measured against its ground truth.

        Args:
            window: the window
            positions: ascending positions of the frames in it
            single: one person in each, original px, shape (positions, joints, 3)
            people: everybody in each, likewise; None measures one person
        """
        truth = true_people(window, self.skeleton)[torch.from_numpy(positions)]
        for segment in window.segments:
            inside = torch.from_numpy((positions >= segment.start) & (positions < segment.stop))
            if people is None:
                self.update(single[inside], truth[inside, 0], segment.metric_scale, segment.labels)
            else:
                found = People(people.keypoints[inside], people.scores[inside])
                self.update_people(found, truth[inside], segment.metric_scale, segment.labels)

    def _add(self, errors: JointErrors, labelled: Tensor, scale: float, labels: Mapping[str, str] | None) -> None:
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
            and ``detection_rate`` (shares of the labelled joints); where several people were measured, before these the
            figures of :meth:`PeopleScores.since` behind ``people/``.
        """
        several = self._people.compute().items() if self._people.frames else ()
        *joints, mean = self._mpjpe.compute().tolist()
        return {
            **{f"people/{name}": value for name, value in several},
            "mpjpe_px": mean,
            **{f"mpjpe_px/{group}": float(self._groups[group].compute()[-1]) for group in sorted(self._groups)},
            **{f"mpjpe_px/joint/{joint}": value for joint, value in zip(self.skeleton.joints, joints, strict=True)},
            "pck_3px": float(self._pck_px.compute()),
            "pck_02_torso": float(self._pck_torso.compute()),
            "detection_rate": float(self._detection.compute()),
        }


def measure(
    windows: Iterable[FrameWindow],
    students: Mapping[str, PoseNetwork],
    rule: MissingRule,
    batch_size: int = 64,
    people: str = "auto",
) -> dict[str, Breakdown]:
    """Measure students against the ground truth of the same videos, decoded once for all of them.

    Args:
        windows: the videos; of each window the candidates are measured
        students: who is measured, by name
        rule: what becomes of joints that are not found
        batch_size: frames per forward pass
        people: as for :func:`measure_located`

    Returns:
        The errors of each student, by its name.

    Raises:
        UserError: if the videos have no ground truth.
    """
    locators = {
        name: Locator(student.skeleton, partial(student.keypoints, batch_size=batch_size))
        for name, student in students.items()
    }
    return measure_located(windows, locators, rule, people)


class Locator(NamedTuple):
    """Somebody who says where joints are.

    Attributes:
        skeleton: the joint set
        locate: takes RGB frames, uint8, shape (frames, height, width, 3), and in which of them everybody is looked
            for, and returns poses in input px
    """

    skeleton: Skeleton
    locate: Callable[[Tensor, Wanted], Poses]


def measure_located(
    windows: Iterable[FrameWindow], locators: Mapping[str, Locator], rule: MissingRule, people: str = "auto"
) -> dict[str, Breakdown]:
    """Measure whoever says where joints are against the ground truth of the same videos, decoded once for all of them.

    Args:
        windows: the videos; of each window the candidates are measured
        locators: who is measured, by name
        rule: what becomes of joints that are not found
        people: ``one`` person per frame, ``many``, or ``auto``: many from the first window on whose truth holds several

    Returns:
        The errors of each, by name, px.

    Raises:
        UserError: if the videos have no ground truth.
    """
    errors = {name: Breakdown(locator.skeleton, rule) for name, locator in locators.items()}
    several = people == "many"
    for window in windows:
        positions = window.candidates
        if not len(positions):
            continue
        several = several or (people == "auto" and truth_holds_several(window))
        frames = window.frames[torch.from_numpy(positions)]
        everywhere: Wanted = "many" if several else "one"
        for name, locator in locators.items():
            poses = in_frame(locator.locate(frames, everywhere), window, positions)
            errors[name].update_window(window, positions, poses.single, poses.people if several else None)
    return errors


def truth_holds_several(window: FrameWindow) -> bool:
    """Open the ground truth of a window, and return True if several people are in one of the measured frames."""
    truth = reveal(window)
    return truth is not None and holds_several(truth[torch.from_numpy(window.candidates)])


def true_people(window: FrameWindow, skeleton: Skeleton) -> Tensor:
    """Open the ground truth of a window in a student's joint set. For evaluation only.

    Args:
        window: the window
        skeleton: the joint set wanted

    Returns:
        The people of each frame, original px, shape (frames, people, joints, 3).

    Raises:
        UserError: if the window has no ground truth.
    """
    truth = reveal(window)
    if truth is None or window.truth_skeleton is None:
        raise UserError(f"stream: {window.segments[0].clip} has no ground truth; expected videos with one")
    return map_keypoints(truth, window.truth_skeleton, skeleton)


def true_person(window: FrameWindow, skeleton: Skeleton) -> Tensor:
    """Return the first of :func:`true_people` of each frame, shape (frames, joints, 3)."""
    return true_people(window, skeleton)[:, 0]
