"""A pose network described in YAML as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.joint_names import joint_name
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.teachers.base import Labels, Teacher, TeacherRequest, stack_people
from pose_oad.teachers.described.network import DescribedNetwork, InputSpec, OutputSpec
from pose_oad.teachers.described.outputs import read_people
from pose_oad.tracking.errors import require
from pose_oad.tracking.schema import Count, Positive, Share, Text

_AS_DECLARED, _KEYPOINTS = InputSpec(), OutputSpec()


class DescribedTeacher:
    """An ONNX network that finds keypoints, whoever made it, with the keys of ``conf/teacher/onnx_keypoints.yaml``.

    It looks at whole frames, or, behind a ``detector``, at one person at a time. Any other teacher can be the detector:
    the boxes around its people are looked at.
    """

    uses_truth = False
    takes_detector = True

    def __init__(
        self,
        path: Text,
        joints: str | Sequence[str] = "coco-17",
        input: InputSpec = _AS_DECLARED,
        output: OutputSpec = _KEYPOINTS,
        detector: Teacher | None = None,
        padding: Positive = 1.25,
        height: Count = 720,
        min_confidence: Share = 0.3,
        min_score: Share = 0.0,
        batch_size: Count = 8,
        threads: Count | None = None,
    ) -> None:
        file = Path(path)
        self.name, self.skeleton = file.stem, _joint_set(joints, file)
        self._seen, self._said = input, output
        self._network = DescribedNetwork(file, input, output, batch_size, threads)
        self._detector = detector
        self._padding, self._height = padding, height
        self._min_confidence, self._min_score = min_confidence, min_score
        blank = np.zeros((1, *self._network.size[::-1], 3), np.uint8)
        self._people(blank)  # what it gives must be what the description says

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the frame in the input, or behind a detector that at which it is kept, px."""
        if self._detector is None:
            return FrameResize.of(frame_size, self._network.size, self._seen.resize_mode).content[2:]
        height = min(self._height, frame_size[1])
        return max(1, round(frame_size[0] * height / frame_size[1])), height

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the people that the network finds, best first."""
        images = request.pixels()
        crops, seen = self._crops(request, images)
        frame_of = [row for row, parts in enumerate(crops) for _ in parts]
        placed = [crop for parts in crops for crop in parts]
        frames: list[list[tuple[float, Tensor]]] = [[] for _ in crops]
        if placed:
            cut = [
                crop.cut(images[row], self._network.size, self._seen.border)
                for row, crop in zip(frame_of, placed, strict=True)
            ]
            for row, crop, people, scores in zip(frame_of, placed, *self._people(np.stack(cut)), strict=True):
                found = (scores >= self._min_score) & (people[..., 2] > 0).any(-1)
                frames[row] += zip(scores[found].tolist(), crop.to_picture(people[found]), strict=True)
        # What the detector could not look at is not a frame without people.
        return Labels(self._together(frames, request), counts=seen.counts, unusable=seen.unusable)

    def _people(self, pictures: np.ndarray) -> tuple[Tensor, Tensor]:
        """Find people in the network's input: keypoints, px of it, and scores."""
        keypoints, scores = read_people(self._network(pictures), self._said, len(self.skeleton), self._network.size)
        return keypoints * (keypoints[..., 2:] >= self._min_confidence), scores

    def _crops(self, request: TeacherRequest, images: np.ndarray) -> tuple[list[list[Crop]], Labels]:
        """Return where the network looks, for every frame, and what the detector said of them (nothing without one)."""
        if self._detector is None:
            left, top = FrameResize.of(request.frame_size, self._network.size, self._seen.resize_mode).content[:2]
            return [[Crop(1.0, (left, top))] for _ in images], Labels(torch.zeros(len(images), 0, 0, 3))
        scale, seen = images.shape[2] / request.frame_size[0], self._detector.label(request.seen_by(self._detector))
        crops = [
            [Crop.around(box * scale, self._network.size, self._padding) for box in boxes_of(people)]
            for people in seen.keypoints
        ]
        return crops, seen

    def _together(self, frames: list[list[tuple[float, Tensor]]], request: TeacherRequest) -> Tensor:
        """Stack the people of every frame, best first, in px of the original frame."""
        nobody, joints = torch.zeros(0, len(self.skeleton), 3), len(self.skeleton)
        ordered = [[person for _, person in sorted(people, key=lambda one: -one[0])] for people in frames]
        keypoints = stack_people([torch.stack(people) if people else nobody for people in ordered], joints)
        width, height = self.image_size(request.frame_size)
        scale = keypoints.new_tensor([request.frame_size[0] / width, request.frame_size[1] / height, 1.0])
        return keypoints * scale * (keypoints[..., 2:] > 0)


def _joint_set(joints: str | Sequence[str], file: Path) -> Skeleton:
    if isinstance(joints, str):
        return get_skeleton(joints)
    names = tuple(map(joint_name, joints))
    require(len(set(names)) == len(names) > 0, "joints", list(joints), "a joint set, or different joint names")
    return Skeleton(f"of {file.stem}", names)


@dataclass(frozen=True)
class Crop:
    """Placement of a picture in a network's input: ``input = picture * scale + offset``."""

    scale: float  #: input px per picture px, along both axes
    offset: tuple[float, float]  #: where the picture's top-left corner lies, input px along x and y

    @classmethod
    def around(cls, box: np.ndarray, size: tuple[int, int], padding: float) -> Crop:
        """Place a box (left, top, right, bottom, px) so that it fills an input along one axis, centred along the other.

        ``padding`` is how much more than the box is shown, a factor of its sides.
        """
        left, top, right, bottom = box.tolist()
        width, height = max(right - left, 1.0) * padding, max(bottom - top, 1.0) * padding
        scale = min(size[0] / width, size[1] / height)
        centre = ((left + right) / 2, (top + bottom) / 2)
        return cls(scale, (size[0] / 2 - scale * centre[0], size[1] / 2 - scale * centre[1]))

    def cut(self, picture: np.ndarray, size: tuple[int, int], border: int) -> np.ndarray:
        """Show this part of a picture, RGB uint8, shape (height, width, 3); what it does not cover is ``border``."""
        # OpenCV counts from the centre of the first pixel, which lies half a px from the corner.
        shift = [part + 0.5 * self.scale - 0.5 for part in self.offset]
        matrix = np.array([[self.scale, 0, shift[0]], [0, self.scale, shift[1]]])
        return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(border,) * 3)

    def to_picture(self, keypoints: Tensor) -> Tensor:
        """Bring keypoints, shape (…, 3), back from px of the input to px of the picture."""
        offset, scale = keypoints.new_tensor([*self.offset, 0.0]), keypoints.new_tensor([self.scale, self.scale, 1.0])
        return (keypoints - offset) / scale


def boxes_of(people: Tensor) -> np.ndarray:
    """Put a box around the joints found of each person: left, top, right and bottom, px, shape (people, 4).

    People, shape (people, joints, 3), of whom fewer than two joints are found are left out.
    """
    found = people[..., 2] > 0
    people = people[found.sum(1) >= 2]
    hidden = ~(people[..., 2:] > 0)
    low = people[..., :2].masked_fill(hidden, float("inf")).amin(1)
    high = people[..., :2].masked_fill(hidden, float("-inf")).amax(1)
    return np.concatenate([low.numpy(), high.numpy()], 1)
