"""Who is who from frame to frame: people are followed by the similarity of their poses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.ensemble import similarity


@dataclass
class _Track:
    """Somebody who is followed: a number, the frame last seen in, the pose there, px a frame along x and y."""

    number: int
    frame: int
    pose: Tensor
    speed: Tensor

    def at(self, frame: int) -> Tensor:
        """Return the pose as far on as the speed takes it, shape (joints, 3)."""
        moved = self.pose.clone()
        moved[:, :2] += self.speed * (frame - self.frame)
        return moved

    def seen(self, frame: int, pose: Tensor) -> None:
        """Take a new pose in; the speed is the mean of the one before and of the joints' that both poses have."""
        both = (self.pose[:, 2] > 0) & (pose[:, 2] > 0)
        if both.any():
            speed = (pose[both, :2] - self.pose[both, :2]).mean(0) / (frame - self.frame)
            self.speed = (self.speed + speed) / 2 if self.speed.any() else speed
        self.frame, self.pose = frame, pose


class Follower:
    """Numbers people so that one keeps a number while in view, and gets it back who returns soon.

    People of a frame and those known are paired so that their object keypoint similarity is largest in sum. Somebody
    who was in the last frame is expected where steady motion leads; somebody who was missing, there or where last seen.

    Args:
        skeleton: their joints
        min_oks: similarity from which two are one person, in [0, 1]
        patience: frames after which somebody unseen is forgotten
        motion: whether steady motion is expected; otherwise everybody is, where last seen
    """

    def __init__(self, skeleton: Skeleton, min_oks: float = 0.1, patience: int = 50, motion: bool = True) -> None:
        self._skeleton, self._min_oks, self._patience, self._motion = skeleton, min_oks, patience, motion
        self._known: list[_Track] = []
        self._next = 0

    def follow(self, frame: int, people: Tensor) -> Tensor:
        """Number the people of the next frame.

        Args:
            frame: its number, larger than those before
            people: px, shape (people, joints, 3); confidence 0 = not found

        Returns:
            Numbers from 0 on, int64, shape (people,); -1 for somebody without any joint.
        """
        self._known = [track for track in self._known if frame - track.frame <= self._patience]
        present = (people[..., 2] > 0).any(-1).nonzero().flatten().tolist()
        likeness = self._likeness(frame, people[present])
        rows, columns = linear_sum_assignment(likeness.numpy(), maximize=True)
        numbers, continued, unseen = torch.full((len(people),), -1), list[_Track](), dict(enumerate(self._known))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if likeness[row, column] >= self._min_oks:
                track, place = unseen.pop(row), present[column]
                track.seen(frame, people[place])
                numbers[place] = track.number
                continued.append(track)
        for place in present:
            if numbers[place] < 0:
                numbers[place] = self._next
                continued.append(_Track(self._next, frame, people[place], torch.zeros(2)))
                self._next += 1
        self._known = [*continued, *unseen.values()]
        return numbers

    def _likeness(self, frame: int, people: Tensor) -> Tensor:
        """Compare those known with those present, shape (known, present)."""
        if not self._known:
            return torch.zeros(0, len(people))
        last = similarity(torch.stack([track.pose for track in self._known]), people, self._skeleton)
        if not self._motion:
            return last
        moved = similarity(torch.stack([track.at(frame) for track in self._known]), people, self._skeleton)
        missing = torch.tensor([frame - track.frame > 1 for track in self._known])
        return torch.where(missing[:, None], torch.maximum(last, moved), moved)
