"""A window of the stream: the frames that have just arrived.

One window is one Lightning batch. Its ground truth is sealed, and opens for :func:`reveal` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Origin


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


@dataclass(frozen=True, eq=False)
class FrameWindow:
    """What has arrived: the frames of one window, and what is known about them. Nobody writes to it.

    Attributes:
        index: number of the window in the stream, from 0
        frames: what the student sees, RGB uint8, shape (frames, height, width, 3)
        ids: frame numbers in the stream, int64, shape (frames,)
        candidates: positions in the window of the frames the teacher has seen, the only ones that may be selected
        segments: the clips the frames come from, in order
        truth_skeleton: joint set of the ground truth; None where there is none
        rate: frames of the stream per second; frame i exists from i / rate on
        frames_dropped: frames of a live source that were lost before or between these; None where it is not live
        decode_s: time that decoding took, s
    """

    index: int
    frames: Tensor
    ids: np.ndarray
    candidates: np.ndarray
    segments: tuple[Segment, ...]
    truth_skeleton: Skeleton | None = None
    rate: float = 1.0
    frames_dropped: int | None = None
    decode_s: float = 0.0
    _sealed_truth: Tensor | None = field(default=None, repr=False)

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

    @property
    def arrivals(self) -> np.ndarray:
        """Time of the stream from which on each frame exists, s, shape (frames,)."""
        return self.ids / self.rate

    @property
    def opened_s(self) -> float:
        """Time of the stream at which its first frame arrives, s."""
        return float(self.ids[0] / self.rate)

    @property
    def closed_s(self) -> float:
        """Time of the stream at which the window is complete, s: when the frame behind it arrives."""
        return float((self.ids[-1] + 1) / self.rate)

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


def reveal(window: FrameWindow) -> Tensor | None:
    """Open the ground truth of a window. For evaluation and simulated teachers only.

    Returns:
        Shape (frames, people, joints, 3), original px, in the stream's joint set; None where there is none.
    """
    return window._sealed_truth
