from __future__ import annotations

import pytest

from datamodules.human36m.names import ACTIONS, PARENTS, parse_name
from pose_oad.poses.skeleton import get_skeleton


@pytest.mark.parametrize(
    ("stem", "title", "action", "number"),
    [
        ("Walking 1.55011271", "Walking 1", "Walking", 1),
        ("TakingPhoto.55011271", "TakingPhoto", "Photo", None),
        ("WalkingDog 2.55011271", "WalkingDog 2", "WalkDog", 2),
        ("WalkTogether-2.55011271", "WalkTogether-2", "WalkTogether", 2),
    ],
)
def test_irregular_names_are_taken_apart(stem: str, title: str, action: str, number: int | None) -> None:
    name = parse_name("S1", stem)
    assert name is not None
    assert (name.title, name.action, name.number, name.camera) == (title, action, number, "55011271")
    assert (name.key, name.sequence, name.stem) == (f"S1/{stem}", f"S1/{title}", stem)
    assert action in ACTIONS


@pytest.mark.parametrize("stem", ["_ALL.55011271", "_ALL 1.55011271", "holiday", "Walking", "Walking 1.front", ""])
def test_other_names_are_nobodys(stem: str) -> None:
    assert parse_name("S1", stem) is None


def test_parents_are_those_of_the_joints() -> None:
    joints = get_skeleton("human36m-32").joints
    assert len(PARENTS) == len(joints)
    assert joints[PARENTS[joints.index("left_wrist")]] == "left_elbow"
    assert joints[PARENTS[joints.index("right_knee")]] == "right_hip"
    assert all(parent < child for child, parent in enumerate(PARENTS))
