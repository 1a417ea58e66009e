from __future__ import annotations

import numpy as np

from pose_oad.poses.maps.assembly import group_joints
from pose_oad.poses.maps.links import Links


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
