"""A few frames of a run to look at: truth, student and teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from callbacks.observer import Observer
from callbacks.spread import Spread
from pose_oad.online.record import WindowRecord
from pose_oad.online.window import reveal
from pose_oad.poses.skeleton import Skeleton, map_keypoints


@dataclass(frozen=True)
class Sample:
    """One frame with everything that was said about it.

    Attributes:
        frame_id: its number in the stream
        clip: the clip it is from
        image: what the student saw, RGB uint8, shape (height, width, 3)
        student: keypoints before training on its window, input px, shape (joints, 3)
        truth: likewise, None where there is none
        teacher: likewise, None unless the frame was labelled
    """

    frame_id: int
    clip: str
    image: np.ndarray
    student: Tensor
    truth: Tensor | None
    teacher: Tensor | None


class FrameSampler(Observer):
    """Keep frames spread evenly over the stream, never more than twice ``count``.

    Args:
        skeleton: the student's joint set
        truth_skeleton: joint set of the ground truth; None where there is none
        count: how many to keep at least, once the stream has as many windows
    """

    def __init__(self, skeleton: Skeleton, truth_skeleton: Skeleton | None, count: int = 8) -> None:
        self.skeleton, self.truth_skeleton = skeleton, truth_skeleton
        self._spread: Spread[Sample] = Spread(count)

    @property
    def samples(self) -> list[Sample]:
        """The frames kept so far."""
        return self._spread.kept

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Keep a frame of this window, if it is its turn."""
        if self._spread.wants():
            self._spread.add(self._sample(record))
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the frames kept so far."""
        samples = [{**vars(sample), "image": torch.from_numpy(sample.image)} for sample in self.samples]
        return {**vars(self._spread), "kept": samples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from frames returned by :meth:`state_dict`."""
        samples = [Sample(**{**values, "image": values["image"].numpy()}) for values in state_dict["kept"]]
        self._spread = Spread(**{**state_dict, "kept": samples})

    def _sample(self, record: WindowRecord) -> Sample:
        """Take the middle one of the chosen frames, whose label is known; the middle frame where none was chosen."""
        window, chosen = record.window, record.choice.positions
        middle = len(chosen) // 2
        position = chosen[middle : middle + 1] if len(chosen) else np.array([len(window) // 2])
        segment = next(s for s in window.segments if s.start <= position[0] < s.stop)
        index = torch.from_numpy(position)
        truth, teacher = reveal(window), None
        if truth is not None and self.truth_skeleton is not None:
            people = map_keypoints(truth[index, 0], self.truth_skeleton, self.skeleton)
            truth = window.to_input(people, position)[0]
        if record.labels is not None:
            person = record.labels.person(self.skeleton)[middle : middle + 1]
            teacher = window.to_input(person, position)[0]
        return Sample(
            frame_id=int(window.ids[position[0]]),
            clip=segment.clip,
            image=window.frames[index[0]].numpy().copy(),
            student=window.to_input(record.measured.predictions[index], position)[0],
            truth=truth,
            teacher=teacher,
        )
