"""Walk through videos window by window and collect frames: those a strategy chooses, or those that are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pose_oad.offline.frame_store import FrameBatch, FrameSet, FrameStore
from pose_oad.offline.journal import KeptWindow
from pose_oad.online.batch import labelled_batch
from pose_oad.online.breakdown import true_person
from pose_oad.online.label_service import LabelService
from pose_oad.online.learner import Augment
from pose_oad.online.window import FrameWindow
from pose_oad.poses.skeleton import joint_map
from pose_oad.students import PoseStudent
from pose_oad.teachers.base import Teacher


class Chooser(Protocol):
    """What is asked of a query strategy here; :class:`callbacks.strategies.QueryStrategy` says it in full."""

    needs_predictions: bool
    reference: bool

    @property
    def scorer(self) -> str:
        """Whose predictions are scored."""
        ...

    @property
    def name(self) -> str:
        """Name of the strategy in reports."""
        ...

    def choose(self, window: FrameWindow, student: PoseStudent) -> np.ndarray:
        """Choose frames of a window."""
        ...


class Collector:
    """Choose frames of every window with a student that never changes, and have the teacher label them.

    Args:
        strategy: which frames are chosen
        student: whose predictions are scored
        teacher: who labels
        batch_size: frames per forward pass
        augment: shows the chosen frames in other views; None as they are

    Attributes:
        label_service: asks the teacher, and counts
        frames: frames seen so far

    Raises:
        UserError: if teacher and student have no joint in common.
    """

    def __init__(
        self,
        strategy: Chooser,
        student: PoseStudent,
        teacher: Teacher,
        batch_size: int = 64,
        augment: Augment | None = None,
    ) -> None:
        self.strategy, self.student, self.batch_size = strategy, student, batch_size
        self.augment = augment
        self.label_service = LabelService(teacher)
        self.frames = 0
        self._supplied = joint_map(teacher.skeleton, student.skeleton).any(1)

    def collect(
        self,
        windows: Iterable[FrameWindow],
        store: FrameStore,
        record: Callable[[FrameWindow, FrameBatch | None], None],
        kept: Mapping[int, KeptWindow] | None = None,
    ) -> FrameSet:
        """Collect the chosen frames of all windows with the teacher's people.

        Args:
            windows: the videos
            store: where the frames are kept
            record: is told about every window, and given its chosen frames (None: no frame was chosen), when these
                have been labelled; not about windows that are kept
            kept: windows that have been chosen from and labelled before, by their number; their calls count
        """
        kept = kept or {}
        for window in windows:
            self.frames += len(window)
            before = kept.get(window.index)
            if before is None:
                labelled = self._choose(window)
                record(window, labelled)
            else:
                labelled = before.batch(window) if len(before.positions) else None
                self.label_service.calls += before.teacher_calls
            if labelled is not None:
                if self.augment is not None:  # after the journal: the videos give the pictures again, and so the views
                    frames, people = self.augment(labelled.frames, labelled.keypoints, window.index)
                    labelled = labelled._replace(frames=frames, keypoints=people)
                store.append(labelled)
        return store.finish(self.student.input_size, len(self.student.skeleton))

    def _choose(self, window: FrameWindow) -> FrameBatch | None:
        """Choose frames of a window, and have them labelled."""
        window.label_service = self.label_service
        if self.strategy.needs_predictions and self.strategy.scorer == "live":
            # This student does not learn while frames are chosen: as it is now is as it was before.
            with window.phase("predict"):
                found = self.student.keypoints(window.frames, batch_size=self.batch_size).single
                window.predictions = window.to_frame(found)
        with window.phase("query"):
            window.selected = self.strategy.choose(window, self.student)
        labelled = self._labelled(window) if len(window.selected) else None
        window.metrics |= {"selected": len(window.selected), "teacher_calls": window.counts["teacher_calls"]}
        return labelled

    def _labelled(self, window: FrameWindow) -> FrameBatch:
        batch = labelled_batch(window, window.label(window.selected), self.student.skeleton, self._supplied)
        return FrameBatch(batch.frames, batch.keypoints, batch.known, metric_scale(window, window.selected))


def collect_measured(windows: Iterable[FrameWindow], student: PoseStudent, store: FrameStore) -> FrameSet:
    """Collect the candidates of all windows with their true person, to be measured again and again.

    Args:
        windows: the videos
        student: whose input and joint set are used
        store: where the frames are kept

    Raises:
        UserError: if the videos have no ground truth.
    """
    for window in windows:
        positions = window.candidates
        if len(positions):
            rows = torch.from_numpy(positions)
            truth = window.to_input(true_person(window, student.skeleton)[rows], positions)
            batch = FrameBatch(window.frames[rows], truth[:, None], truth[..., 2] > 0, metric_scale(window, positions))
            store.append(batch)
    return store.finish(student.input_size, len(student.skeleton))


def metric_scale(window: FrameWindow, positions: np.ndarray) -> Tensor:
    """Say how many px of the reported metric one px of the student's input is.

    Args:
        window: the window
        positions: ascending positions in it

    Returns:
        Along x and y, shape (positions, 2).
    """
    bounds = np.searchsorted(positions, [0, *(segment.stop for segment in window.segments)])
    scales = torch.tensor(
        [[segment.metric_scale / side for side in segment.resize.scale] for segment in window.segments]
    )
    return scales.repeat_interleave(torch.from_numpy(np.diff(bounds)), dim=0)
