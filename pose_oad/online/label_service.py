"""Between a window and its teacher: every frame is labelled once, counted, and its label kept for the window's life."""

from __future__ import annotations

import logging
import weakref
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pose_oad.online.stage import Stage
from pose_oad.online.stopwatch import Stopwatch
from pose_oad.online.window import FrameWindow, Segment, reveal
from pose_oad.poses.maps.resample import resample_to_input, turn_fields
from pose_oad.poses.skeleton import Skeleton, joint_map
from pose_oad.teachers.base import Labels, Teacher, TeacherRequest
from pose_oad.teachers.window_labels import WindowLabels, stack_labels

_LOG = logging.getLogger(__name__)


class LabelService(Stage):
    """Ask a teacher for a window's frames, once each.

    Args:
        teacher: who labels
        map_size: width and height of the student's maps in cells, to which the teacher's maps are resampled as they
            arrive; None drops the maps
        measuring: labels only measure the stream: their counts are named apart, and what the teacher counts itself
            has no part in the stream's totals
        watch: where the time goes, as ``label``; None counts it where the labels were asked for

    Attributes:
        calls: frames the teacher has labelled so far in this run
    """

    def __init__(
        self,
        teacher: Teacher,
        map_size: tuple[int, int] | None = None,
        measuring: bool = False,
        watch: Stopwatch | None = None,
    ) -> None:
        self.teacher, self.map_size, self.measuring, self._watch = teacher, map_size, measuring, watch
        self.calls = 0
        self._counts: Counter[str] = Counter()
        # Rows of the labels already given, by window; they die with their window.
        self._known: weakref.WeakKeyDictionary[FrameWindow, tuple[np.ndarray, WindowLabels]] = (
            weakref.WeakKeyDictionary()
        )

    def supplied(self, skeleton: Skeleton) -> Tensor:
        """Return which joints of a skeleton the teacher can say something about, bool, shape (joints,).

        Raises:
            UserError: if there is none.
        """
        return joint_map(self.teacher.skeleton, skeleton).any(1)

    def take_counts(self) -> dict[str, int]:
        """Return what was counted since the last call, by name, and begin again at zero."""
        counts, self._counts = dict(self._counts), Counter()
        return counts

    def state_dict(self) -> dict[str, Any]:
        """Return the number of calls."""
        return {"calls": self.calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.calls = state["calls"]

    def label(self, window: FrameWindow, positions: np.ndarray) -> WindowLabels:
        """Return the labels of some frames, asking the teacher only for those it has not labelled yet.

        Args:
            window: the window
            positions: ascending positions in it; candidates only

        Raises:
            ValueError: if the teacher has not seen one of the frames.
        """
        with nullcontext() if self._watch is None else self._watch("label"):
            return self._label(window, positions)

    def _label(self, window: FrameWindow, positions: np.ndarray) -> WindowLabels:
        unseen = np.setdiff1d(positions, window.candidates)
        if len(unseen):
            raise ValueError(
                f"window {window.index}: positions {unseen.tolist()} are no candidates, which alone have labels"
            )
        rows, known = self._known.get(window, (np.full(len(window), -1), self._nothing()))
        new = positions[rows[positions] < 0]
        if len(new):
            offset = len(known.keypoints)
            known = stack_labels([known, *(self._ask(window, segment, new) for segment in window.segments)])
            rows[new] = np.arange(offset, offset + len(new))
            self.calls += len(new)
            self._count("teacher_calls", len(new))
            made = known.take(rows[new])
            nobody = made.nobody if made.unusable is None else made.nobody & ~made.unusable
            self._count("frames_without_person", int(nobody.sum()))
            self._known[window] = (rows, known)
        return known.take(rows[positions])

    def _count(self, name: str, number: int) -> None:
        if number:
            self._counts["evaluation_" * self.measuring + name] += number

    def _nothing(self) -> WindowLabels:
        return WindowLabels(self.teacher.skeleton, torch.zeros(0, 0, len(self.teacher.skeleton), 3))

    def _ask(self, window: FrameWindow, segment: Segment, positions: np.ndarray) -> WindowLabels:
        inside = positions[(positions >= segment.start) & (positions < segment.stop)]
        if not len(inside):
            return self._nothing()
        images = None
        if segment.teacher_images is not None:
            first = np.searchsorted(window.candidates, segment.start)
            images = segment.teacher_images[np.searchsorted(window.candidates, inside) - first]
        truth = reveal(window) if self.teacher.uses_truth else None
        if truth is not None:
            truth = truth[torch.from_numpy(inside)]
        origin = segment.origin.take(inside - segment.start) if segment.origin is not None else None
        request = TeacherRequest(window.ids[inside], images, segment.resize.frame_size, truth, origin)
        labels = self.teacher.label(request)
        if not self.measuring:
            self._counts.update(labels.counts)
        return self._keep(self._finite(labels, window), segment)

    def _finite(self, labels: Labels, window: FrameWindow) -> Labels:
        """Return labels in which frames with a NaN or an infinity are unusable: nothing is known about them."""
        keypoints, *maps = labels.keypoints, labels.confidence_maps, labels.part_affinity_fields
        sound = (keypoints.isfinite() | (keypoints[..., 2:] == 0)).flatten(1).all(1)
        for part in maps:
            if part is not None:
                sound &= part.isfinite().flatten(1).all(1).to(sound.device)
        if sound.all():
            return labels
        _LOG.warning("window %d: the teacher's labels of %d frames are not finite", window.index, (~sound).sum())
        if not self.measuring:
            self._count("labels_not_finite", int((~sound).sum()))
        unusable = ~sound if labels.unusable is None else labels.unusable | ~sound
        maps = [None if part is None else part.nan_to_num(0.0, 0.0, 0.0) for part in maps]
        keypoints = keypoints * sound[:, None, None, None]
        return replace(
            labels,
            keypoints=keypoints.nan_to_num(0.0, 0.0, 0.0),
            confidence_maps=maps[0],
            part_affinity_fields=maps[1],
            unusable=unusable,
        )

    def _keep(self, labels: Labels, segment: Segment) -> WindowLabels:
        if self.map_size is None or labels.confidence_maps is None or labels.part_affinity_fields is None:
            return WindowLabels(self.teacher.skeleton, labels.keypoints, unusable=labels.unusable)
        maps = resample_to_input(labels.confidence_maps, segment.resize, self.map_size)
        fields = resample_to_input(labels.part_affinity_fields.flatten(1, 2), segment.resize, self.map_size)
        fields = turn_fields(fields.unflatten(1, labels.part_affinity_fields.shape[1:3]), segment.resize.scale)
        return WindowLabels(self.teacher.skeleton, labels.keypoints, maps, fields, labels.unusable)
