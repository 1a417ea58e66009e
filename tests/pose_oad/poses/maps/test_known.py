from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pose_oad.online.objectives import map_loss
from pose_oad.poses.maps import KnownCells, encode, known_cells
from pose_oad.poses.skeleton import get_skeleton

BODY = get_skeleton("body-12")
# A standing body-12 in a box of 40 by 100: shoulders, elbows, wrists, hips, knees, ankles, left then right by name.
_PLACES = {"shoulder": (8, 0), "elbow": (18, 18), "wrist": (20, 38), "hip": (7, 42), "knee": (8, 70), "ankle": (8, 100)}
POSE = torch.tensor(
    [
        [(1 if joint.startswith("left") else -1) * _PLACES[joint.split("_")[1]][0], _PLACES[joint.split("_")[1]][1]]
        for joint in BODY.joints
    ]
)
SIZE, CELLS = (256, 256), (64, 64)


def people(*places: tuple[float, float, float]) -> Tensor:
    """People of a height at a place each, shape (1, people, joints, 3)."""
    body = [torch.cat([POSE * height / 100 + torch.tensor([x, y]), torch.ones(12, 1)], 1) for x, y, height in places]
    return torch.stack(body)[None]


def known(keypoints: Tensor) -> KnownCells | None:
    target = encode(keypoints, BODY, input_size=SIZE, map_size=CELLS)
    return known_cells(keypoints, target, BODY, SIZE)


def at(mask: Tensor, keypoints: Tensor) -> Tensor:
    """Read a mask of joints where people's joints are, shape (batch, people, joints)."""
    cell = (keypoints[..., :2] / 4).long()
    image = torch.arange(len(keypoints)).view(-1, 1, 1)
    return mask[image, torch.arange(12), cell[..., 1], cell[..., 0]]


def test_people_who_are_whole_leave_nothing_unknown() -> None:
    assert known(people((60, 60, 100), (160, 80, 60))) is None
    assert known(torch.zeros(2, 3, 12, 3)) is None
    assert known(torch.zeros(2, 0, 12, 3)) is None


def test_of_five_people_with_a_fifth_of_their_joints_missed_the_others_are_taught() -> None:
    generator = torch.Generator().manual_seed(0)
    crowd = people(*((30 + 48 * n, 60 + 20 * (n % 3), 60 + 10 * n) for n in range(5))).repeat(40, 1, 1, 1)
    missed = torch.rand(crowd.shape[:3], generator=generator) < 0.2
    labels = crowd * ~missed.unsqueeze(-1)
    cells = known(labels)
    assert cells is not None
    taught = at(cells.joints, crowd)
    assert taught[~missed].all()
    assert taught.float().mean() == pytest.approx(0.8, abs=0.03)
    # A whole channel that is left out for one person teaches a third.
    assert (~missed).all(1).float().mean() < 0.4
    apart = torch.linalg.vector_norm(crowd[:, :, None, :, :2] - crowd[:, None, ..., :2], dim=-1)
    near = ((apart < 16) & ~missed[:, None]).any(2)
    assert not taught[missed & ~near].any(), "a missed joint is taught as background"


@pytest.mark.parametrize("joint", BODY.joints)
def test_around_a_person_that_lacks_a_joint_and_only_there_nothing_is_said_of_it(joint: str) -> None:
    whole, number = people((60, 60, 60), (200, 180, 60)), BODY.index(joint)
    labels = whole.clone()
    labels[0, 0, number] = 0
    cells = known(labels)
    assert cells is not None
    taught = at(cells.joints, whole)
    assert not taught[0, 0, number]
    assert taught.sum() == 23
    assert cells.joints[0, number, 60, 2:4].all(), "the far corner is background"
    for limb, ends in enumerate(BODY.limbs):
        middle = (whole[0, :, ends, :2].mean(1) / 4).long()
        assert cells.limbs[0, limb, middle[0, 1], middle[0, 0]] == (number not in ends)
        assert cells.limbs[0, limb, middle[1, 1], middle[1, 0]]


def test_a_person_of_whom_one_joint_is_known_may_be_anywhere() -> None:
    labels = people((60, 60, 60))
    labels[0, 0, 1:] = 0
    cells = known(labels)
    assert cells is not None
    assert cells.joints[0, 0].all()
    assert not cells.joints[0, 1:].any()


def test_the_loss_does_not_look_at_unknown_cells() -> None:
    labels = people((60, 60, 60), (200, 180, 60))
    labels[0, 0, 3] = 0
    target = encode(labels, BODY, input_size=SIZE, map_size=CELLS)
    cells = known_cells(labels, target, BODY, SIZE)
    assert cells is not None
    maps, fields = (part.clone() for part in target)
    maps[~cells.joints] = 100.0
    fields[~cells.limbs.unsqueeze(2).expand_as(fields)] = 100.0
    assert map_loss(maps, fields, target, BODY, cells=cells).item() == 0
    assert map_loss(maps, fields, target, BODY).item() > 100
