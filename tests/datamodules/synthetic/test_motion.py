from __future__ import annotations

import numpy as np
import pytest

from datamodules.synthetic.body import LIMITS, pose_body, sample_build
from datamodules.synthetic.motion import ACTIONS, SNAPSHOTS, perform
from datamodules.synthetic.postures import ARMS, LEGS

TIMES = np.arange(300) / 50
BUILD = sample_build(np.random.default_rng(0))


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_moves_smoothly_within_reach(name: str) -> None:
    pose = perform(ACTIONS[name], BUILD, TIMES, np.random.default_rng(1), reach=0.9)
    posed = pose_body(BUILD, pose)
    joints = np.stack([posed.points[joint] for joint in ("left_wrist", "right_wrist", "left_ankle", "head", "pelvis")])
    speed = np.linalg.norm(np.diff(joints, axis=1), axis=-1) * 50
    assert 0.05 < speed.max() < 9.0  # m/s: it moves, and no joint jumps
    assert np.linalg.norm(pose.place, axis=1).max() < 2.0
    assert posed.points["head"][:, 2].max() < 2.0


def test_the_same_seed_gives_the_same_performance_and_another_seed_another() -> None:
    first, again, other = (
        perform(ACTIONS["Discussion"], BUILD, TIMES, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.angles, again.angles)
    np.testing.assert_array_equal(first.place, again.place)
    assert np.abs(first.angles - other.angles).max() > 0.1


def test_walking_covers_ground_in_steps_and_turns() -> None:
    times = np.arange(1000) / 50
    pose = perform(ACTIONS["Walking"], BUILD, times, np.random.default_rng(0))
    covered = np.linalg.norm(np.diff(pose.place, axis=0), axis=1).sum()
    assert covered == pytest.approx(20 * ACTIONS["Walking"].speed, rel=0.1)
    assert np.ptp(np.unwrap(pose.heading)) > np.pi
    knees = pose_body(BUILD, pose).points
    apart = knees["left_ankle"] - knees["right_ankle"]
    along = apart[:, 0] * np.cos(pose.heading) + apart[:, 1] * np.sin(pose.heading)
    assert 16 < np.count_nonzero(np.diff(np.sign(along))) < 60  # the feet pass each other about twice a second


def test_a_standing_foot_hardly_slides_while_walking() -> None:
    pose = perform(ACTIONS["Walking"], BUILD, np.arange(900) / 50, np.random.default_rng(0))
    points = pose_body(BUILD, pose).points
    feet = np.stack([points["left_ankle"], points["right_ankle"]])
    speed = np.linalg.norm(np.diff(feet[..., :2], axis=1), axis=-1) * 50
    assert np.median(speed.min(0)) < 0.55  # m/s, while the body moves at 1.15 m/s


def test_sitting_stays_in_place_and_low() -> None:
    pose = perform(ACTIONS["Sitting"], BUILD, TIMES, np.random.default_rng(0))
    assert np.ptp(pose.place, axis=0).max() == 0
    assert pose_body(BUILD, pose).points["pelvis"][:, 2].max() < 0.7


def test_without_reach_the_body_stays_on_the_spot() -> None:
    pose = perform(SNAPSHOTS["running"], BUILD, TIMES, np.random.default_rng(0), reach=0.0)
    assert not pose.place.any()
    assert not pose.heading.any()
    assert np.ptp(pose.angles, axis=0).max() > 0.8  # and runs all the same


def test_postures_respect_the_joint_limits() -> None:
    names = ("shoulder_flex", "shoulder_abduct", "shoulder_twist", "elbow", "wrist")
    for arm in ARMS.values():
        for joint, value in zip(names, arm, strict=True):
            low, high = LIMITS[f"left_{joint}"]
            assert low <= max(value, 2 if joint == "elbow" else value) <= high
    for legs in LEGS.values():
        for leg in legs:
            for joint, value in zip(("hip_flex", "hip_abduct", "hip_twist", "knee", "ankle"), leg, strict=True):
                assert LIMITS[f"left_{joint}"][0] <= value <= LIMITS[f"left_{joint}"][1]
