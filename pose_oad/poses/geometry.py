"""How an original frame lies in a network's input: one scale and one offset per axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from pose_oad.tracking.errors import require

ResizeMode = Literal["letterbox", "squash"]
RESIZE_MODES: tuple[ResizeMode, ...] = get_args(ResizeMode)

#: Px of the largest picture that is decoded: a small file can claim more than memory holds.
LARGEST_IMAGE = 2**26


@dataclass(frozen=True)
class FrameResize:
    """Placement of a frame inside a network input."""

    frame_size: tuple[int, int]  #: width and height of the original frame, px
    input_size: tuple[int, int]  #: width and height of the network input, px
    content: tuple[int, int, int, int]  #: left, top, width and height of the frame's picture inside the input, whole px

    @classmethod
    def of(cls, frame_size: tuple[int, int], input_size: tuple[int, int], resize_mode: ResizeMode) -> FrameResize:
        """Place a frame in an input, sizes in px.

        ``letterbox`` keeps the aspect ratio and centres the picture between black bars; ``squash`` fills the input
        without keeping it, as trt_pose does.
        """
        require(resize_mode in RESIZE_MODES, "resize_mode", resize_mode, "letterbox or squash")
        if resize_mode == "squash":
            return cls(frame_size, input_size, (0, 0, *input_size))
        scale = min(input_size[0] / frame_size[0], input_size[1] / frame_size[1])
        width, height = (max(1, round(side * scale)) for side in frame_size)
        return cls(frame_size, input_size, ((input_size[0] - width) // 2, (input_size[1] - height) // 2, width, height))

    @property
    def scale(self) -> tuple[float, float]:
        """Input px per frame px, along x and y."""
        return self.content[2] / self.frame_size[0], self.content[3] / self.frame_size[1]

    def to_input(self, keypoints: Tensor) -> Tensor:
        """Convert keypoints, shape (..., 3), from frame px to input px; the confidence is passed on."""
        return self._affine(keypoints, self.scale, self.content[:2])

    def to_frame(self, keypoints: Tensor) -> Tensor:
        """Convert keypoints from input px to frame px, the inverse of :meth:`to_input`."""
        (sx, sy), (left, top) = self.scale, self.content[:2]
        return self._affine(keypoints, (1 / sx, 1 / sy), (-left / sx, -top / sy))

    @staticmethod
    def _affine(keypoints: Tensor, scale: tuple[float, float], offset: tuple[float, float]) -> Tensor:
        factor, shift = keypoints.new_tensor((*scale, 1.0)), keypoints.new_tensor((*offset, 0.0))
        return keypoints * factor + shift
