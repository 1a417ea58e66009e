"""Walk through videos window by window and collect frames: those a strategy chooses, or those that are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pose_oad.offline.frame_store import FrameSet, FrameStore
from pose_oad.offline.journal import KeptWindow
from pose_oad.online.batch import LabelledBatch, labelled_batch
from pose_oad.online.breakdown import true_person
from pose_oad.online.label_service import LabelService
from pose_oad.online.loop import Strategy
from pose_oad.online.record import Choice
from pose_oad.online.triggers import Trigger, WindowStats
from pose_oad.online.view import Situation
from pose_oad.online.window import FrameWindow
from pose_oad.students import PoseStudent
from pose_oad.teachers.base import Teacher

#: Is told about a window: which frames were chosen, the frames with their labels (None: none was chosen), its figures.
RecordWindow = Callable[[FrameWindow, Choice, LabelledBatch | None, Mapping[str, float]], None]

#: Shows the frames of a window, by its number, in other views.
Views = Callable[[LabelledBatch, int], LabelledBatch]


class Collector:
    """Choose frames of every window with a student that never changes, and have the teacher label them.

    Args:
        strategy: which frames are chosen
        trigger: how many of each window
        student: whose predictions are scored
        teacher: who labels
        views: shows the chosen frames of a window, of a number, in other views; None as they are

    Attributes:
        label_service: asks the teacher, and counts
        frames: frames seen so far

    Raises:
        UserError: if teacher and student have no joint in common.
    """

    def __init__(
        self,
        strategy: Strategy,
        trigger: Trigger,
        student: PoseStudent,
        teacher: Teacher,
        views: Views | None = None,
    ) -> None:
        self.strategy, self.trigger, self.student = strategy, trigger, student
        self.views = views
        self.label_service = LabelService(teacher)
        self.frames = 0
        self._supplied = self.label_service.supplied(student.skeleton)

    def collect(
        self,
        windows: Iterable[FrameWindow],
        store: FrameStore,
        record: RecordWindow,
        kept: Mapping[int, KeptWindow] | None = None,
    ) -> FrameSet:
        """Collect the chosen frames of all windows with the teacher's people.

        Args:
            windows: the videos
            store: where the frames are kept
            record: is told about every window when its chosen frames have been labelled; not about those that are kept
            kept: windows that have been chosen from and labelled before, by their number; their calls count
        """
        kept = kept or {}
        for window in windows:
            self.frames += len(window)
            before = kept.get(window.index)
            if before is None:
                choice = self._choose(window)
                labelled = self._labelled(window, choice.positions) if len(choice.positions) else None
                calls = self.label_service.take_counts().get("teacher_calls", 0)
                record(window, choice, labelled, {"selected": len(choice.positions), "teacher_calls": calls})
            else:
                labelled = before.batch(window) if len(before.positions) else None
                self.label_service.calls += before.teacher_calls
            if labelled is not None:
                if self.views is not None:  # after the journal: the videos give the pictures again, and so the views
                    labelled = self.views(labelled, window.index)
                store.append(labelled)
        return store.finish(self.student.input_size, self.student.skeleton)

    def _choose(self, window: FrameWindow) -> Choice:
        """Choose frames of a window, with the stages of a stream; this student does not learn meanwhile."""
        situation = Situation(window, self.student, self.label_service)
        plan = self.trigger.plan(WindowStats(window.index, len(window), len(window.candidates), window.closed_s))
        return self.strategy.choose(situation, plan.label_budget)

    def _labelled(self, window: FrameWindow, positions: np.ndarray) -> LabelledBatch:
        labels = self.label_service.label(window, positions)
        batch = labelled_batch(window, positions, labels, self.student.skeleton, self._supplied)
        return replace(batch, metric_scale=metric_scale(window, positions))


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
            known, ids = truth[..., 2] > 0, torch.from_numpy(window.ids)[rows]
            limbs = torch.ones(len(rows), len(student.skeleton.limbs), dtype=torch.bool)
            batch = LabelledBatch(window.frames[rows], truth[:, None], known, limbs, ids)
            store.append(replace(batch, metric_scale=metric_scale(window, positions)))
    return store.finish(student.input_size, student.skeleton)


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
