from __future__ import annotations

import pytest

from pose_oad.poses.joint_names import joint_name, other_side
from pose_oad.poses.skeleton import SKELETONS


@pytest.mark.parametrize(
    "spelling",
    ["left_shoulder", "Left Shoulder", "left-shoulder", "LShoulder", "l_shoulder", "shoulder.L", "leftShoulder",
     "LEFT_SHOULDER", "shoulder_left", "ShoulderLeft"],
)  # fmt: skip
def test_sides_are_understood(spelling: str) -> None:
    assert joint_name(spelling) == "left_shoulder"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("R-Big Toe", "right_big_toe"),
        ("front left paw", "left_front_paw"),
        ("root_of_tail", "root_of_tail"),
        ("NOSE", "nose"),
        ("L", "l"),  # a side of nothing
        ("left", "left"),
        ("left to right", "left_to_right"),  # both sides
        ("rabbit", "rabbit"),
        ("左肩", "左肩"),
        ("12", "12"),
        (" - ", ""),
    ],
)
def test_other_names_keep_their_words(spelling: str, name: str) -> None:
    assert joint_name(spelling) == name


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_the_projects_own_names_stay(skeleton) -> None:
    # Human3.6M's copies of a neck and a wrist for each side are no joints of a body.
    joints = [joint for joint in skeleton.joints if not joint.endswith("_copy")]
    assert [joint_name(joint) for joint in joints] == joints


def test_other_side() -> None:
    assert other_side("left_knee") == "right_knee"
    assert other_side("right_knee") == "left_knee"
    assert other_side("nose") == "nose"
