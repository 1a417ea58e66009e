from __future__ import annotations

import torch
from torch import Tensor

from pose_oad.metrics.sides import sides_told
from pose_oad.poses.skeleton import get_skeleton

BODY = get_skeleton("body-12")


def person(x: float = 50.0) -> Tensor:
    """Six pairs 20 px apart, the left joints to the left."""
    joints = torch.ones(12, 3)
    for at, name in enumerate(BODY.joints):
        joints[at, :2] = torch.tensor([x + (-10.0 if name.startswith("left") else 10.0), 10.0 * at])
    return joints


def swapped(joints: Tensor) -> Tensor:
    return joints[list(BODY.flip)]


def test_pairs_count_on_whichever_side_they_are_found() -> None:
    assert sides_told(person()[None], person()[None], BODY) == (6, 6)
    assert sides_told(swapped(person())[None], person()[None], BODY) == (0, 6)


def test_what_is_far_away_missing_or_unlabelled_is_no_pair() -> None:
    joints = person()
    assert sides_told((joints + torch.tensor([300.0, 0, 0]))[None], joints[None], BODY) == (0, 0)
    missing = joints.clone()
    missing[BODY.index("left_wrist"), 2] = 0
    assert sides_told(missing[None], joints[None], BODY) == (5, 5)
    assert sides_told(joints[None], missing[None], BODY) == (5, 5)
    assert sides_told(joints[:0].reshape(0, 12, 3), joints[None], BODY) == (0, 0)


def test_each_person_is_compared_with_who_was_found_there() -> None:
    truth = torch.stack([person(50), person(200)])
    assert sides_told(torch.stack([swapped(person(202)), person(51)]), truth, BODY) == (6, 12)
