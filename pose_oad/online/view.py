"""What a query strategy may see when it chooses frames of a window; never the ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pose_oad.online.history import LabelHistory
from pose_oad.online.label_service import LabelService
from pose_oad.online.memory import Memory, NoMemory
from pose_oad.online.memory.embedding import thumbnails
from pose_oad.online.stopwatch import Stopwatch
from pose_oad.online.window import FrameWindow, GroundTruthAccessError
from pose_oad.online.window_poses import predict_in_window
from pose_oad.poses.maps import People
from pose_oad.students import PoseStudent
from pose_oad.students.modes import evaluating


@dataclass(frozen=True)
class Situation:
    """A window at the moment of choice.

    Attributes:
        window: the frames
        student: the network that predicts now
        labels: asks the teacher, and counts
        predictions: the student's keypoints, original px, shape (frames, joints, 3); None where nobody predicted
        memory: labelled frames of earlier windows that are replayed
        history: poses of earlier windows' labels
        watch: where the time goes; forward passes that only a strategy needs are ``look``
    """

    window: FrameWindow
    student: PoseStudent
    labels: LabelService
    predictions: Tensor | None = None
    memory: Memory = field(default_factory=NoMemory)
    history: LabelHistory = field(default_factory=LabelHistory)
    watch: Stopwatch = field(default_factory=Stopwatch)


class Look:
    """One batch of frames inside a network; each part is computed when it is first read.

    Args:
        network: a student, in evaluation mode
        frames: RGB uint8, shape (batch, height, width, 3)
    """

    def __init__(self, network: PoseStudent, frames: Tensor) -> None:
        self._network, self.images = network, network.normalise(frames)

    @cached_property
    def features(self) -> tuple[Tensor, ...]:
        """The trunk's features, shallowest first, shape (batch, channels, rows, columns) each."""
        return tuple(self._network.backbone(self.images))

    @cached_property
    def maps(self) -> tuple[Tensor, Tensor]:
        """Confidence maps and part affinity fields, as the network returns them."""
        return self._network.head(self.features)

    @cached_property
    def hidden(self) -> Tensor:
        """What the last layer makes the confidence maps of, shape (batch, width, rows, columns)."""
        seen: list[Tensor] = []
        layer = getattr(self._network.head, self._network.head.outputs[0])
        handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.maps = self._network.head(self.features)
        finally:
            handle.remove()
        return seen[0]


class SelectionView:
    """A window as a query strategy sees it: frames at once, everything else on demand, computed once.

    Attributes:
        index: number of the window
        ids: frame numbers in the stream, shape (frames,)
        frames: RGB uint8, shape (frames, height, width, 3)
        candidates: positions that may be chosen, ascending
        budget: how many may be chosen
        skeleton: joint set of predictions and labels
        rng: random numbers of this window, seeded by ``seed.selection`` and the window's number
        frame_diagonal: length of the original frames' diagonal, px
        clips: number of the clip that each frame is from, ascending, shape (frames,)
        memory: labelled frames of earlier windows that are replayed
        history: poses of earlier windows' labels, in the order in which they were given
        scores: what the strategy's ``score`` returned, shape (frames,); None until then

    Args:
        situation: the window, and what surrounds it
        budget: how many may be chosen
        rng: random numbers of this window
        scorer: the network whose predictions, features and maps are seen; None: the one that predicts now
        truth: the true person of each frame, original px, shape (frames, joints, 3); for the oracle alone
    """

    def __init__(
        self,
        situation: Situation,
        budget: int,
        rng: np.random.Generator,
        scorer: PoseStudent | None = None,
        truth: Tensor | None = None,
    ) -> None:
        window = situation.window
        self.index, self.ids, self.frames, self.candidates = window.index, window.ids, window.frames, window.candidates
        self.budget, self.skeleton, self.rng = budget, situation.student.skeleton, rng
        self.memory, self.history = situation.memory, situation.history
        self.frame_diagonal = float(max(np.hypot(*s.resize.frame_size) for s in window.segments))
        self.scores: np.ndarray | None = None
        self.clips = np.repeat(np.arange(len(window.segments)), [s.stop - s.start for s in window.segments])
        self._situation, self._truth = situation, truth
        self._scorer = situation.student if scorer is None else scorer

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def predictions(self) -> Tensor:
        """The scorer's keypoints, original px, shape (frames, joints, 3)."""
        known = self._situation.predictions
        if known is not None and self._scorer is self._situation.student:
            return known
        return self.predict(self._scorer)

    @property
    def network(self) -> PoseStudent:
        """The scorer: whoever changes its weights takes a copy."""
        return self._scorer

    def predict(self, network: PoseStudent) -> Tensor:
        """Return another network's keypoints, original px, shape (frames, joints, 3)."""
        with self._situation.watch("look"):
            return predict_in_window(network, self._situation.window).single

    @cached_property
    def features(self) -> Tensor:
        """The scorer's pooled trunk features of every frame, shape (frames, channels)."""
        with self._situation.watch("look"):
            return self._scorer.features(self.frames)

    @cached_property
    def thumbnails(self) -> Tensor:
        """The grey values of every frame in 16 x 16 px, about their mean, of length 1, shape (frames, 256)."""
        return thumbnails(self.frames)

    @torch.no_grad()
    def per_frame(self, measure: Callable[[Look], Tensor], network: PoseStudent | None = None) -> Tensor:
        """Measure every frame inside a network, batch by batch, so that no maps of a whole window are kept.

        Args:
            measure: returns something for each frame of a batch, shape (batch, ...)
            network: which; None: the scorer

        Returns:
            What it returned of all frames, on the CPU.
        """
        network = self._scorer if network is None else network
        with self._situation.watch("look"), evaluating(network):
            return torch.cat([measure(Look(network, part)).cpu() for part in self.frames.split(64)])

    def maps(self, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        """Predict the scorer's maps of some frames, see :meth:`PoseNetwork.maps`.

        Args:
            positions: ascending positions in the window
        """
        parts = [self._scorer.maps(part) for part in self.frames[torch.from_numpy(positions)].split(64)]
        maps, fields = zip(*parts, strict=True)
        return torch.cat(maps), torch.cat(fields)

    def people(self, positions: np.ndarray) -> People:
        """Find everybody in some frames with the scorer, which then looks at them once more.

        Args:
            positions: ascending positions in the window

        Returns:
            People of each of these frames, original px.
        """
        return predict_in_window(self._scorer, self._situation.window, positions=positions, grouped=positions).people

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
        return self._situation.labels.label(self._situation.window, positions).person(self.skeleton)

    def teacher_people(self, positions: np.ndarray) -> Tensor:
        """As :meth:`teacher_keypoints`, but everybody whom the teacher finds: shape (positions, people, joints, 3)."""
        return self._situation.labels.label(self._situation.window, positions).people(self.skeleton)
