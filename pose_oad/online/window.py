"""A window of the stream: the frames that have just arrived, and who may see what of them.

One window is one Lightning batch. Evaluation reads everything; a query strategy gets a :class:`SelectionView` only; the
ground truth is sealed and opens for :func:`reveal` alone; the teacher is reached through :meth:`FrameWindow.label`,
which counts, times and caches every call, whoever makes it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Origin

if TYPE_CHECKING:
    from pose_oad.online.label_service import LabelService
    from pose_oad.poses.maps import People
    from pose_oad.teachers.window_labels import WindowLabels


class GroundTruthAccessError(RuntimeError):
    """Somebody other than evaluation asked for the ground truth of a window."""


@dataclass(frozen=True)
class Segment:
    """A run of frames of one clip inside a window.

    Attributes:
        clip: name of the clip the frames come from
        start: position of its first frame in the window
        stop: position after its last frame in the window
        resize: how its frames lie in the student's input
        teacher_images: RGB frames at the teacher's resolution, one for each candidate frame of the segment, uint8,
            shape (candidates, height, width, 3); None where the teacher reads no pixels
        labels: what evaluation groups errors by, as ``{"subject": "S1", "action": "Walking", "camera": "55011271"}``
        origin: where its frames come from; None where nobody needs to know
        recording: what the clip shows; clips of cameras that film side by side share it. Empty: the clip alone
        metric_scale: px of the reported metric per px of the original frame (1 unless the source says otherwise)
    """

    clip: str
    start: int
    stop: int
    resize: FrameResize
    teacher_images: np.ndarray | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    recording: str = ""
    metric_scale: float = 1.0


@dataclass(eq=False)
class FrameWindow:
    """The frames of one window with everything that is known about them.

    Attributes:
        index: number of the window in the stream, from 0
        frames: what the student sees, RGB uint8, shape (frames, height, width, 3)
        ids: frame numbers in the stream, int64, shape (frames,)
        candidates: positions in the window of the frames the teacher has seen, the only ones that may be selected
        segments: the clips the frames come from, in order
        truth_skeleton: joint set of the ground truth; None where there is none
        selected: positions the query strategy chose, ascending; empty until it has chosen
        scores: how much the strategy thought each frame worth labelling, shape (frames,), larger is more, of meaning
            for the candidates only; None where it scored nothing
        predictions: the student's keypoints before any training on this window, original px, shape
            (frames, joints, 3); None until predicted
        seconds: wall-clock time spent on this window by phase, s
        counts: what happened to this window, in whole numbers (teacher calls, optimiser steps, …)
        metrics: what is logged for this window, by name
        label_service: where the window's labels come from; attached by the distillation module
    """

    index: int
    frames: Tensor
    ids: np.ndarray
    candidates: np.ndarray
    segments: tuple[Segment, ...]
    truth_skeleton: Skeleton | None = None
    selected: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    scores: np.ndarray | None = None
    predictions: Tensor | None = None
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    metrics: dict[str, float] = field(default_factory=dict)
    label_service: LabelService | None = None
    _sealed_truth: Tensor | None = field(default=None, repr=False)
    _inner_seconds: float = field(default=0.0, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def truth(self) -> Tensor:
        """Refuse: only evaluation reads the ground truth, with :func:`reveal`.

        Raises:
            GroundTruthAccessError: always.
        """
        raise GroundTruthAccessError("the ground truth of a window is for evaluation only")

    @property
    def metric_scale(self) -> Tensor:
        """Px of the reported metric per px of each frame's original, shape (frames,)."""
        return torch.cat([torch.full((s.stop - s.start,), s.metric_scale) for s in self.segments])

    def predicted(self) -> Tensor:
        """Return :attr:`predictions`.

        Raises:
            RuntimeError: if the window has not been predicted yet.
        """
        if self.predictions is None:
            raise RuntimeError(f"window {self.index} has not been predicted")
        return self.predictions

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside the block to ``seconds[name]``, less that of phases inside it."""
        start = time.perf_counter()
        outer, self._inner_seconds = self._inner_seconds, 0.0
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] += elapsed - self._inner_seconds
            self._inner_seconds = outer + elapsed

    def to_frame(self, keypoints: Tensor, positions: np.ndarray | None = None) -> Tensor:
        """Convert keypoints from input px to original px.

        Args:
            keypoints: shape (positions, ..., 3), input px
            positions: ascending positions of their frames in the window; None: all frames

        Returns:
            The same shape, px of each frame's original.
        """
        parts = self._by_segment(keypoints, np.arange(len(self)) if positions is None else positions)
        return torch.cat([s.resize.to_frame(part) for s, part in zip(self.segments, parts, strict=True)])

    def to_input(self, keypoints: Tensor, positions: np.ndarray) -> Tensor:
        """Convert keypoints of some frames from original px to input px.

        Args:
            keypoints: shape (positions, ..., 3), original px
            positions: ascending positions of those frames in the window
        """
        parts = self._by_segment(keypoints, positions)
        return torch.cat([s.resize.to_input(part) for s, part in zip(self.segments, parts, strict=True)])

    def _by_segment(self, keypoints: Tensor, positions: np.ndarray) -> Sequence[Tensor]:
        bounds = np.searchsorted(positions, [s.stop for s in self.segments[:-1]])
        return torch.tensor_split(keypoints, bounds.tolist())

    def label(self, positions: np.ndarray) -> WindowLabels:
        """Ask the teacher about some frames; frames asked before are answered from memory.

        Args:
            positions: ascending positions in the window

        Raises:
            RuntimeError: if no teacher has been attached to the window.
            ValueError: if one of them is no candidate.
        """
        if self.label_service is None:
            raise RuntimeError(f"window {self.index} has no teacher attached")
        with self.phase("label"):
            return self.label_service.label(self, positions)


def reveal(window: FrameWindow) -> Tensor | None:
    """Open the ground truth of a window. For evaluation and simulated teachers only.

    Returns:
        Shape (frames, people, joints, 3), original px, in the stream's joint set; None where there is none.
    """
    return window._sealed_truth


class SelectionView:
    """What a query strategy may see of a window: frames, predictions of its scorer, and the teacher.

    Attributes:
        index: number of the window
        ids: frame numbers in the stream, shape (frames,)
        frames: RGB uint8, shape (frames, height, width, 3)
        candidates: positions that may be chosen, ascending
        budget: how many must be chosen
        skeleton: joint set of predictions and labels
        rng: random numbers of this window, seeded by ``seed.selection`` and the window's number
        frame_diagonal: length of the original frames' diagonal, px
        scores: what the strategy's ``score`` returned, shape (frames,); None until then

    Args:
        window: the window
        budget: how many must be chosen
        skeleton: joint set of predictions and labels
        rng: random numbers of this window
        predictions: the scorer's keypoints, original px, shape (frames, joints, 3); None for a strategy that reads none
        truth: the ground truth, likewise; for the oracle alone, None for every strategy that could be used
        people: finds everybody in some frames with the scorer's network, given their positions, original px; None for
            a strategy that reads no predictions
    """

    def __init__(
        self,
        window: FrameWindow,
        budget: int,
        skeleton: Skeleton,
        rng: np.random.Generator,
        predictions: Tensor | None,
        truth: Tensor | None = None,
        people: Callable[[np.ndarray], People] | None = None,
    ) -> None:
        self.index, self.ids, self.frames, self.candidates = window.index, window.ids, window.frames, window.candidates
        self.budget, self.skeleton, self.rng = budget, skeleton, rng
        self._predictions, self._truth, self._people = predictions, truth, people
        self.scores: np.ndarray | None = None
        self.frame_diagonal = float(max(np.hypot(*s.resize.frame_size) for s in window.segments))
        self._label = window.label

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predictions(self) -> Tensor:
        """The scorer's keypoints, original px, shape (frames, joints, 3).

        Raises:
            RuntimeError: if the strategy does not declare ``needs_predictions``.
        """
        if self._predictions is None:
            raise RuntimeError("no predictions: the strategy must set needs_predictions = True")
        return self._predictions

    def people(self, positions: np.ndarray) -> People:
        """Find everybody in some frames with the scorer's network, which then looks at them once more.

        Args:
            positions: ascending positions in the window

        Returns:
            People of each of these frames, original px.

        Raises:
            RuntimeError: if the strategy does not declare ``needs_predictions``.
        """
        if self._people is None:
            raise RuntimeError("no predictions: the strategy must set needs_predictions = True")
        return self._people(positions)

    @property
    def truth(self) -> Tensor:
        """The true person of each frame, for the oracle alone: original px, shape (frames, joints, 3).

        Raises:
            GroundTruthAccessError: for every strategy that does not declare ``sees_truth``.
        """
        if self._truth is None:
            raise GroundTruthAccessError("a query strategy cannot see the ground truth")
        return self._truth

    def teacher_keypoints(self, positions: np.ndarray) -> Tensor:
        """Ask the teacher about some frames; every frame asked counts as a teacher call.

        Args:
            positions: ascending positions in the window

        Returns:
            The best person of each frame, original px, shape (positions, joints, 3), joint set of :attr:`skeleton`;
            all zero where the teacher finds nobody.
        """
        return self._label(positions).person(self.skeleton)

    def teacher_people(self, positions: np.ndarray) -> Tensor:
        """As :meth:`teacher_keypoints`, but everybody whom the teacher finds: shape (positions, people, joints, 3)."""
        return self._label(positions).people(self.skeleton)
