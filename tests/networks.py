"""Networks that predict given maps, whatever they are shown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import Skeleton, get_skeleton
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


DOWN, ACROSS = torch.arange(12) // 2, torch.arange(12) % 2
ONE = torch.stack([10.0 + 12 * ACROSS, 6.0 + 10 * DOWN, torch.ones(12)], -1)
PEOPLE = torch.stack([ONE, ONE + torch.tensor([30.0, 0.0, 0.0])])


def two_then_one(frames: Tensor) -> Maps:
    """Return the maps of two people in the first frame, and of one in the others."""
    people = PEOPLE.expand(len(frames), -1, -1, -1).clone()
    people[1:, 1] = 0
    return tuple(encode(people, get_skeleton("body-12"), input_size=(64, 64), map_size=(16, 16), sigma=0.06))


SEER = MapNetwork(two_then_one, get_skeleton("body-12"))
