"""Anything that turns frames into maps: a checkpoint's student on a torch device, or an exported ONNX file.

Commands that only look (predict, evaluate) and the registered model work with either.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from pose_oad.skeleton import Skeleton


class Predictor(Protocol):
    """Frames in, maps out.

    Attributes:
        name: how tables call it
        skeleton: joint set of its maps
        input_size: width and height of the frames it takes, px
        map_size: width and height of its maps, cells
    """

    name: str
    skeleton: Skeleton
    input_size: tuple[int, int]
    map_size: tuple[int, int]

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some frames, in evaluation mode and without gradients.

        Args:
            frames: RGB uint8, shape (frames, height, width, 3), at the input size

        Returns:
            confidence maps, shape (frames, joints, rows, columns), and part affinity fields, shape
            (frames, limbs, 2, rows, columns), float32, where the network runs.
        """
        ...
