"""Frames of a run to look at on its page: those chosen, those that went worst, some from all over the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from callbacks.observer import Observer
from callbacks.spread import Spread
from pose_oad.online.record import WindowRecord
from pose_oad.poses.skeleton import Skeleton

_QUALITY = 92  # of JPEG


@dataclass(frozen=True)
class Shot:
    """One frame, px of the student's input.

    Attributes:
        frame_id: its number in the stream
        clip: the clip it is from
        jpeg: what the student saw, a JPEG file, bytes in a tensor
        reference: who is there, as the teacher labelled or the truth says, shape (people, joints, 3)
        student: whom the student saw before training on the window, shape (joints, 3)
        error: how far off that was, px of the metric; NaN where it was not measured
        score: what the strategy thought of it; NaN where it gave none
        rank: share of its window's candidates with a smaller score, in [0, 1]; NaN where there was none
    """

    frame_id: int
    clip: str
    jpeg: Tensor
    reference: Tensor
    student: Tensor
    error: float = float("nan")
    score: float = float("nan")
    rank: float = float("nan")

    @property
    def image(self) -> np.ndarray:
        """The picture, RGB uint8, shape (height, width, 3)."""
        return np.asarray(cv2.imdecode(self.jpeg.numpy(), cv2.IMREAD_COLOR_RGB))


class Gallery(Observer):
    """Keep at most five times ``count`` pictures, as JPEG files.

    Args:
        skeleton: the student's joint set
        count: how many frames of each kind the page shows, about

    Attributes:
        chosen: frames that were labelled
        measured: frames whose error was measured, one from the middle of a window
        worst: frames of the largest error, one of a window at most, largest first
    """

    def __init__(self, skeleton: Skeleton, count: int = 12) -> None:
        self._skeleton, self._count = skeleton, count
        self.chosen: Spread[Shot] = Spread(count)
        self.measured: Spread[Shot] = Spread(count)
        self.worst: list[Shot] = []

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Keep frames of a window, if it is their turn."""
        if record.labels is not None:
            people = record.labels.people(self._skeleton)
            for row, position in enumerate(record.choice.positions):
                if self.chosen.wants():
                    self.chosen.add(self._shot(record, int(position), people[row]))
        errors = record.measured.frame_errors
        known = np.flatnonzero(np.isfinite(errors))
        if len(known):
            if self.measured.wants():
                self.measured.add(self._measured(record, int(known[len(known) // 2])))
            row = int(known[errors[known].argmax()])
            if len(self.worst) < self._count or errors[row] > self.worst[-1].error:
                self.worst = sorted([*self.worst, self._measured(record, row)], key=lambda shot: -shot.error)
                del self.worst[self._count :]
        return {}

    def _measured(self, record: WindowRecord, row: int) -> Shot:
        """Take a measured frame by its row."""
        measured = record.measured
        frame = torch.arange(len(measured.ids)) if measured.people is None else measured.people.frame
        people, error = measured.labelled[frame == row], float(measured.frame_errors[row])
        return self._shot(record, int(np.searchsorted(record.window.ids, measured.ids[row])), people, error)

    def _shot(self, record: WindowRecord, position: int, people: Tensor, error: float = float("nan")) -> Shot:
        window, scores = record.window, record.choice.scores
        at, frame = np.array([position]), window.frames[position].numpy()
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        score = rank = float("nan")
        if scores is not None and np.isfinite(scores[position]):
            score = float(scores[position])
            rank = float((scores[window.candidates] < score).mean())
        return Shot(
            frame_id=int(window.ids[position]),
            clip=next(segment.clip for segment in window.segments if segment.start <= position < segment.stop),
            jpeg=torch.from_numpy(jpeg.reshape(-1)),
            reference=window.to_input(people[None], at)[0] * (people[..., 2:] > 0),
            student=window.to_input(record.measured.predictions[position : position + 1], at)[0],
            error=error, score=score, rank=rank,
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return the frames kept so far."""
        spreads = {
            name: {**vars(spread), "kept": [vars(shot) for shot in spread.kept]}
            for name, spread in (("chosen", self.chosen), ("measured", self.measured))
        }
        return {**spreads, "worst": [vars(shot) for shot in self.worst]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        for name in ("chosen", "measured"):
            values = state_dict[name]
            setattr(self, name, Spread(**{**values, "kept": [Shot(**shot) for shot in values["kept"]]}))
        self.worst = [Shot(**shot) for shot in state_dict["worst"]]
