"""What a teacher is: frames in, labelled people out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pose_oad.poses.skeleton import Skeleton


@dataclass(frozen=True)
class Origin:
    """Where some frames come from: by it a label that was made elsewhere, or kept from an earlier run, is found."""

    clip: str  #: name of the clip
    #: the video file, the folder of images, or the image; None for a camera, which never shows a frame again
    path: Path | None
    numbers: np.ndarray  #: number of each frame in it, from 0, int64, shape (frames,)
    #: file name of each frame, below the path, where every frame is a file of its own; empty otherwise
    names: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> Origin:
        """Return the origin of some of the frames, by their places, int64, shape (frames,)."""
        return replace(self, numbers=self.numbers[rows], names=tuple(self.names[row] for row in rows if self.names))


@dataclass(frozen=True)
class TeacherRequest:
    """The frames a teacher is asked to label."""

    ids: np.ndarray  #: frame numbers in the stream, int64, shape (frames,)
    #: RGB frames at the teacher's own resolution, uint8, shape (frames, height, width, 3); None where the teacher reads
    #: no pixels (:attr:`Teacher.image_size` is None)
    images: np.ndarray | None
    frame_size: tuple[int, int]  #: width and height of the original frame, px
    #: ground-truth people, shape (frames, people, joints, 3) in original px, joint set of the stream; given only to a
    #: teacher that declares :attr:`Teacher.uses_truth`, None for everybody else
    truth: Tensor | None = None
    #: where the frames come from, for labels that were made elsewhere or are kept; None where nobody knows
    origin: Origin | None = None

    def take(self, rows: np.ndarray) -> TeacherRequest:
        """Ask about some of the frames only, by their places in the request, int64, shape (frames,)."""
        return TeacherRequest(
            self.ids[rows],
            None if self.images is None else self.images[rows],
            self.frame_size,
            None if self.truth is None else self.truth[torch.from_numpy(rows)],
            None if self.origin is None else self.origin.take(rows),
        )

    def pixels(self) -> np.ndarray:
        """Return the images, for a teacher that cannot do without."""
        if self.images is None:
            raise ValueError("a network as teacher needs images")
        return self.images

    def seen_by(self, teacher: Teacher) -> TeacherRequest:
        """Pass the request on to another teacher: at its own image size, with the truth only where it asks for it."""
        images, size = self.images, teacher.image_size(self.frame_size)
        if size is None or images is None:
            images = None
        elif images.shape[1:3] != (size[1], size[0]) and len(images):
            images = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
        return replace(self, images=images, truth=self.truth if teacher.uses_truth else None)


@dataclass(frozen=True)
class Labels:
    """What a teacher says about some frames."""

    #: people of each frame, best first, float32, shape (frames, people, joints, 3): x and y in px of the original
    #: frame, confidence (0 = joint not found). ``people`` is the largest number in any frame; missing people are all
    #: zero, and may be zero in number
    keypoints: Tensor
    #: the teacher's own maps where it has them, shape (frames, joints, rows, columns); they cover exactly the original
    #: frame (padding removed)
    confidence_maps: Tensor | None = None
    #: likewise, shape (frames, limbs, 2, rows, columns), x then y component, pointing as in the original frame
    part_affinity_fields: Tensor | None = None
    #: what happened to these frames, by the name under which a run adds it up and logs it, as ``{"labels_from_cache":
    #: 3}``
    counts: Mapping[str, int] = field(default_factory=dict)
    #: frames about which the keypoints say too little to learn from, not even that nobody is there: no label was made,
    #: or somebody in them was rejected; bool, shape (frames,). None: no such frame
    unusable: Tensor | None = None


def stack_people(frames: Sequence[Tensor], joints: int) -> Tensor:
    """Stack the people of each frame, shape (people, joints, 3), padded with zeros to the largest number of people."""
    return pad_sequence(list(frames), batch_first=True) if frames else torch.zeros(0, 0, joints, 3)


class Teacher(Protocol):
    """A labeller of frames. Calls are counted, timed and cached by the window that makes them, not by the teacher."""

    name: str  #: how reports call it
    skeleton: Skeleton  #: joint set of its labels
    uses_truth: bool  #: whether it needs the ground truth (only a simulated teacher does)

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the width and height (px) at which it wants frames of ``frame_size``; None if it reads no pixels."""
        ...

    def label(self, request: TeacherRequest) -> Labels:
        """Label the frames of one request."""
        ...


class TeacherAround:
    """A teacher that has another one behind it, whose name, joint set and image size are its own.

    Args:
        teacher: the one behind
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self.name, self.skeleton, self.uses_truth = teacher.name, teacher.skeleton, teacher.uses_truth

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the size at which the teacher behind wants frames."""
        return self._teacher.image_size(frame_size)
