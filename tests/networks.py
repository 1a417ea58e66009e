"""Networks that predict given maps, whatever they are shown."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students import PoseNetwork

Maps = tuple[Tensor, Tensor]


class MapNetwork(PoseNetwork):
    """Predicts maps for some frames as a function says.

    Args:
        draw: frames to maps
        skeleton: joint set of the maps
        input_size: width and height of the frames, px
        map_size: of the maps, cells; None: a quarter of it
        resize_mode: how frames lie in the input
    """

    input_size = map_size = (0, 0)
    resize_mode: ResizeMode = "letterbox"
    foreground = 0.0

    def __init__(
        self,
        draw: Callable[[Tensor], Maps],
        skeleton: Skeleton,
        input_size: tuple[int, int] = (64, 64),
        map_size: tuple[int, int] | None = None,
        resize_mode: ResizeMode = "letterbox",
    ) -> None:
        self.draw, self.skeleton, self.input_size, self.resize_mode = draw, skeleton, input_size, resize_mode
        self.map_size = map_size or (input_size[0] // 4, input_size[1] // 4)
        self.name = "drawn"

    def maps(self, frames: Tensor) -> Maps:
        return self.draw(frames)
