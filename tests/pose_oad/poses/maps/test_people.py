from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_oad.poses.maps import MapTargets, decode_people, encode
from pose_oad.poses.maps.links import Links
from pose_oad.poses.maps.people import group_joints
from pose_oad.poses.skeleton import SKELETONS, Skeleton, get_skeleton

WITH_LIMBS = [skeleton for skeleton in SKELETONS.values() if len(skeleton.limbs) >= len(skeleton) - 1]


def person_at(x: float, y: float, skeleton: Skeleton, seed: int = 0) -> Tensor:
    """Draw joints within 50 px of a place, shape (joints, 3)."""
    location = torch.rand(len(skeleton), 2, generator=torch.Generator().manual_seed(seed)) * 100 - 50
    return torch.cat([location + torch.tensor([x, y]), torch.ones(len(skeleton), 1)], -1)


def render(keypoints: Tensor, skeleton: Skeleton) -> MapTargets:
    return encode(keypoints, skeleton, input_size=(256, 256), map_size=(64, 64))


@pytest.mark.parametrize("skeleton", WITH_LIMBS, ids=lambda skeleton: skeleton.name)
def test_encode_then_decode_gives_several_people_back(skeleton: Skeleton) -> None:
    people = torch.stack(
        [person_at(65, 65, skeleton), person_at(190, 65, skeleton, 1), person_at(128, 190, skeleton, 2)]
    )
    keypoints = torch.zeros(3, 3, len(skeleton), 3)
    keypoints[0, :1], keypoints[1, :3] = people[:1], people  # and nobody in the third image
    found = decode_people(*render(keypoints, skeleton), skeleton)
    assert found.keypoints.shape == keypoints.shape
    assert (found.scores > 0).sum(1).tolist() == [1, 3, 0]
    assert not found.keypoints[0, 1:].any()
    for image, count in ((0, 1), (1, 3)):
        distance = (found.keypoints[image, :count, None, :, :2] - people[None, :count, :, :2] / 4).norm(dim=-1)
        assert distance.amax(-1).amin(1).max() < 0.1
        assert sorted(distance.amax(-1).argmin(1).tolist()) == list(range(count))


def test_people_come_best_first_and_at_most_as_many_as_asked_for() -> None:
    skeleton = get_skeleton("body-12")
    people = torch.stack([person_at(65, 65, skeleton), person_at(190, 65, skeleton), person_at(128, 190, skeleton)])
    people[0, 6:, 2], people[2, 9:, 2] = 0, 0
    maps = render(people[None], skeleton)
    found = decode_people(*maps, skeleton)
    assert (found.keypoints[0, ..., 2] > 0).sum(-1).tolist() == [12, 9, 6]
    assert found.scores[0].tolist() == sorted(found.scores[0].tolist(), reverse=True)
    assert found.scores[0, 0].item() == pytest.approx(1, abs=0.1)  # all joints, all limbs, full evidence
    fewer = decode_people(*maps, skeleton, max_people=2)
    torch.testing.assert_close(fewer.keypoints, found.keypoints[:, :2])


def test_drops_people_of_few_joints_or_little_evidence() -> None:
    skeleton = get_skeleton("body-12")
    keypoints = person_at(128, 128, skeleton)[None, None]
    keypoints[..., [0, 1, 2, 4], 2] = 2  # shoulders, left elbow, left wrist: a chain of four
    keypoints[..., 2] = (keypoints[..., 2] == 2).float()
    maps, fields = render(keypoints, skeleton)
    assert decode_people(maps, fields, skeleton).keypoints.shape[1] == 1
    assert decode_people(maps, fields, skeleton, min_parts=5).keypoints.shape[1] == 0
    # Four joints and three limbs at a fifth of the full value: 7 x 0.2 / 4 = 0.35 per joint.
    weak = decode_people(maps * 0.2, fields * 0.2, skeleton, min_score=0.4)
    assert weak.keypoints.shape == (1, 0, 12, 3)
    assert decode_people(maps * 0.2, fields * 0.2, skeleton, min_score=0.25).keypoints.shape[1] == 1


def test_image_without_anybody_and_maps_of_nan() -> None:
    skeleton = get_skeleton("coco-18")
    for value in (0.0, float("nan")):
        maps, fields = torch.full((2, 18, 16, 16), value), torch.full((2, 19, 2, 16, 16), value)
        found = decode_people(maps, fields, skeleton)
        assert found.keypoints.shape == (2, 0, 18, 3)
        assert found.scores.shape == (2, 0)
    assert decode_people(maps[:0], fields[:0], skeleton).keypoints.shape == (0, 0, 18, 3)


def test_nan_in_one_image_leaves_the_others_alone() -> None:
    skeleton = get_skeleton("body-12")
    maps, fields = render(person_at(128, 128, skeleton).expand(2, 1, 12, 3), skeleton)
    maps[0], fields[0] = float("nan"), float("nan")
    found = decode_people(maps, fields, skeleton)
    assert (found.scores > 0).sum(1).tolist() == [0, 1]
    assert found.keypoints.isfinite().all()


def test_without_limbs_the_best_peaks_are_one_person() -> None:
    skeleton = Skeleton("dots", ("nose", "neck", "spine", "pelvis"))
    keypoints = torch.stack([person_at(65, 65, skeleton), person_at(190, 190, skeleton)])[None]
    maps, fields = render(keypoints, skeleton)
    weaker = render(keypoints[:, 1:], skeleton).confidence_maps * 0.5
    found = decode_people(maps - weaker, fields, skeleton)
    assert found.keypoints.shape == (1, 1, 4, 3)
    torch.testing.assert_close(found.keypoints[0, 0, :, :2], keypoints[0, 0, :, :2] / 4, atol=0.1, rtol=0)


def test_whole_batch_equals_image_by_image() -> None:
    skeleton = get_skeleton("trt-pose-18")
    generator = torch.Generator().manual_seed(0)
    keypoints = torch.rand(6, 4, 18, 3, generator=generator) * 256  # tangled: limbs cross and are contested
    maps, fields = render(keypoints, skeleton)
    together = decode_people(maps, fields, skeleton)
    assert together.keypoints.shape[1] > 1
    for image in range(6):
        alone = decode_people(maps[image : image + 1], fields[image : image + 1], skeleton)
        people = alone.keypoints.shape[1]
        torch.testing.assert_close(together.keypoints[image, :people], alone.keypoints[0])
        assert not together.keypoints[image, people:].any()


def test_refuses_maps_that_do_not_fit() -> None:
    skeleton = get_skeleton("body-12")
    with pytest.raises(ValueError, match="confidence maps"):
        decode_people(torch.zeros(1, 17, 8, 8), torch.zeros(1, 12, 2, 8, 8), skeleton)
    with pytest.raises(ValueError, match="part affinity fields"):
        decode_people(torch.zeros(1, 12, 8, 8), torch.zeros(1, 24, 8, 8), skeleton)


def links(*rows: tuple[int, int, float]) -> Links:
    first, second, score = zip(*rows, strict=True) if rows else ((), (), ())
    return Links(np.array(first, dtype=int), np.array(second, dtype=int), np.array(score, dtype=float))


def same(person: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(person == number).tolist()) for number in set(person.tolist())}


def test_connected_parts_are_people() -> None:
    person, holds = group_joints(np.array([0, 1, 2, 0, 1]), links((0, 1, 0.9), (1, 2, 0.5), (3, 4, 0.8)))
    assert same(person) == {frozenset({0, 1, 2}), frozenset({3, 4})}
    assert holds.all()


def test_cycle_of_one_person_keeps_all_its_limbs() -> None:
    person, holds = group_joints(np.array([0, 1, 2]), links((0, 1, 0.9), (1, 2, 0.5), (2, 0, 0.4)))
    assert same(person) == {frozenset({0, 1, 2})}
    assert holds.all()


def test_weakest_limb_that_ties_two_people_is_left_out() -> None:
    # Joints 0-1-2 of two people; a wrong limb ties joint 2 of the first to joint 0 of the second.
    joint = np.array([0, 1, 2, 0, 1, 2])
    person, holds = group_joints(joint, links((2, 3, 0.3), (0, 1, 0.9), (1, 2, 0.8), (3, 4, 0.9), (4, 5, 0.8)))
    assert same(person) == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}
    assert holds.tolist() == [False, True, True, True, True]


def test_untangling_keeps_limbs_that_close_a_cycle_and_other_people() -> None:
    joint = np.array([0, 1, 2, 0, 3, 3])
    person, holds = group_joints(joint, links((0, 1, 0.9), (1, 2, 0.8), (2, 0, 0.7), (2, 3, 0.1), (3, 4, 0.6)))
    assert same(person) == {frozenset({0, 1, 2}), frozenset({3, 4}), frozenset({5})}
    assert holds.tolist() == [True, True, True, False, True]


def test_lonely_peaks_and_none_at_all() -> None:
    person, holds = group_joints(np.array([0, 1]), links())
    assert same(person) == {frozenset({0}), frozenset({1})}
    assert not len(holds)
    assert not len(group_joints(np.zeros(0, int), links())[0])
