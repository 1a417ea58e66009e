from __future__ import annotations

from typing import Any, cast

import av
import numpy as np
import torch

from pose_oad.poses.skeleton import Skeleton
from pose_oad.predict.drawing import PEOPLE, SIDES, Panels
from pose_oad.predict.poses import FramePoses, TruthReader

ARM = Skeleton("arm", ("left_elbow", "left_wrist", "right_elbow"), ((0, 1), (0, 2)))


def grey(width: int, height: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((height, width, 3), 100, np.uint8), format="rgb24")


def poses(*joints: tuple[float, float, float]) -> FramePoses:
    return FramePoses(torch.tensor([joints], dtype=torch.float32), torch.ones(1))


def draw(panels: Panels, picture: av.VideoFrame, *found: FramePoses) -> np.ndarray:
    frame = panels.draw(picture, found, [""] * len(found), 3)
    return np.stack([_pixels(plane) for plane in frame.planes[1:]], -1)


def _pixels(plane: Any) -> np.ndarray:
    return np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].astype(int)


def near(colour: np.ndarray, side: str) -> bool:
    return bool(np.abs(colour - SIDES[side][1:]).max() <= 5)


def readers(count: int) -> Any:
    return cast("Any", [TruthReader(torch.zeros(1, 1, 3, 3), ARM)] * count)


def test_each_panel_shows_its_own_people_in_the_colours_of_their_sides() -> None:
    panels = Panels(readers(2), (201, 150), threshold=0.3)
    assert panels.size == (404, 150)
    left = poses((60, 60, 1), (100, 60, 1), (60, 100, 1))
    colours = draw(panels, grey(201, 150), left, poses((60, 60, 0.2), (100, 60, 1), (60, 100, 0)))
    assert colours.shape == (75, 202, 2)
    assert near(colours[30, 40], "left")  # between elbow and wrist, both on the left
    assert near(colours[40, 30], "middle")  # across the body
    assert near(colours[50, 30], "right")
    second = colours[:, 101:]
    assert near(second[30, 50], "left")  # the wrist alone: its elbow is below the threshold
    assert np.abs(second[30, 40] - 128).max() <= 2
    assert np.abs(second[40, 30] - 128).max() <= 2


def test_people_who_are_numbered_have_joints_in_colours_of_their_own() -> None:
    one = ((60, 60, 1), (100, 60, 1), (60, 100, 1))
    found = FramePoses(torch.tensor([one, [(x + 80, y, c) for x, y, c in one]], dtype=torch.float32), torch.ones(2))
    panels = Panels(readers(1), (300, 150), threshold=0.3)
    for ids in ([0, 1], [6, 0]):
        colours = draw(panels, grey(300, 150), found._replace(ids=torch.tensor(ids)))
        assert near(colours[30, 40], "left")  # limbs keep the colour of their side
        for joint, number in (((30, 50), ids[0]), ((30, 90), ids[1])):
            assert np.abs(colours[joint] - PEOPLE[number % len(PEOPLE)][1:]).max() <= 5


def test_a_picture_of_another_size_is_fitted_and_its_people_with_it() -> None:
    panels = Panels(readers(1), (200, 100), threshold=0.1)
    colours = draw(panels, grey(100, 100), poses((70, 50, 1), (90, 50, 1), (70, 50, 0)))
    assert near(colours[25, 65], "left")  # 50 px further to the right, half the resolution
