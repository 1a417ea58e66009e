"""Labels smoothed in time: each person is followed through the frames that are asked about together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Labels, Teacher, TeacherRequest
from pose_oad.teachers.following import Follower
from pose_oad.tracking.schema import Positive, Share


class SmoothedTeacher:
    """A teacher of which every joint is moved to a local line through its places before and after.

    People of consecutive frames are one where their object keypoint similarity is large enough (best assignment). The
    line is fitted to the joint's places in that person's frames, weighed by confidence and, as a Gaussian, by time, so
    that steady motion is not delayed. Places after a frame are read too: these are labels, which nobody waits for.

    It sees the frames of one clip that are asked about at once: with strategies that ask about every frame, the whole
    window; frames that are chosen far apart stay as they are. Joints that are not found stay so; maps pass unsmoothed.

    Args:
        teacher: who labels
        frames: standard deviation of the Gaussian, frames of the stream
        min_oks: similarity from which two are one person, in [0, 1]
    """

    repeats_itself = False  # what it says of a frame depends on which others are asked about

    def __init__(self, teacher: Teacher, frames: Positive = 2.0, min_oks: Share = 0.3) -> None:
        self._teacher, self._frames, self._min_oks = teacher, frames, min_oks
        self.name, self.uses_truth = f"smoothed:{teacher.name}", teacher.uses_truth

    @property
    def skeleton(self) -> Skeleton:
        """Joint set of the labels."""
        return self._teacher.skeleton

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the size at which the teacher wants frames."""
        return self._teacher.image_size(frame_size)

    def label(self, request: TeacherRequest) -> Labels:
        """Have frames labelled, and smooth each person's joints over them."""
        labels = self._teacher.label(request)
        tracks = self._tracks(labels.keypoints)
        keypoints = labels.keypoints.clone()
        times = torch.from_numpy(np.asarray(request.ids)).to(keypoints.dtype)
        for track in tracks:
            frame, person = torch.tensor(track).unbind(1)
            keypoints[frame, person] = smooth(labels.keypoints[frame, person], times[frame], self._frames)
        return replace(labels, keypoints=keypoints)

    def _tracks(self, keypoints: Tensor) -> list[list[tuple[int, int]]]:
        """Follow people, shape (frames, people, joints, 3); return frame and place of each one's appearances."""
        follower = Follower(self.skeleton, self._min_oks, patience=1, motion=False)
        tracks: dict[int, list[tuple[int, int]]] = {}
        for frame, people in enumerate(keypoints):
            for place, number in enumerate(follower.follow(frame, people).tolist()):
                if number >= 0:
                    tracks.setdefault(number, []).append((frame, place))
        return list(tracks.values())


def smooth(keypoints: Tensor, times: Tensor, deviation: float) -> Tensor:
    """Move every joint to the local line through its places.

    Args:
        keypoints: one person, shape (frames, joints, 3); confidence 0 = not found
        times: of the frames, shape (frames,)
        deviation: of the Gaussian by which places count, in the unit of ``times``
    """
    apart = times - times.unsqueeze(1)  # [frame, other]
    near = torch.exp(-(apart**2) / (2 * deviation**2)).unsqueeze(-1)
    weight = near * keypoints[..., 2].clamp(min=0)  # (frame, other, joint)
    when = apart.unsqueeze(-1)
    sums = [(weight * when**power).sum(1) for power in (0, 1, 2)]  # (frame, joint)
    moments = [torch.einsum("foj,ojc->fjc", weight * when**power, keypoints[..., :2]) for power in (0, 1)]
    spread = (sums[0] * sums[2] - sums[1] ** 2).unsqueeze(-1)
    level = moments[0] / sums[0].unsqueeze(-1).clamp(min=torch.finfo(weight.dtype).tiny)
    line = (sums[2].unsqueeze(-1) * moments[0] - sums[1].unsqueeze(-1) * moments[1]) / spread
    # Too few places for a line, or all but one too far away to count.
    place = line.where(spread > 1e-3 * sums[0].square().unsqueeze(-1), level)
    found = keypoints[..., 2:] > 0
    return torch.cat([place.where(found, keypoints[..., :2]), keypoints[..., 2:]], -1)
