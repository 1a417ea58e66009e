"""The part of a picture that a network looks at: one scale and one offset per axis, in continuous px."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Crop:
    """Placement of a picture in a network's input: ``input = picture * scale + offset``.

    Attributes:
        scale: input px per picture px, along both axes
        offset: where the picture's top-left corner lies, input px along x and y
    """

    scale: float
    offset: tuple[float, float]

    @classmethod
    def around(cls, box: np.ndarray, size: tuple[int, int], padding: float) -> Crop:
        """Place a box so that it fills an input along one axis, and is centred along the other.

        Args:
            box: left, top, right and bottom, px of the picture, shape (4,)
            size: width and height of the input, px
            padding: how much more than the box is shown, a factor of its sides
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
