from __future__ import annotations

import numpy as np
import pytest

from datamodules.synthetic.body import (
    ANGLES,
    LIMITS,
    Build,
    Pose,
    Posed,
    clip_to_limits,
    joint_positions,
    pose_body,
    sample_build,
)
from pose_oad.poses.skeleton import get_skeleton

BUILD = Build(1.75, 1.0, 0.18, 0.1, 0.25, 0.3, 0.26, 0.42, 0.41, 0.2, 0.23)


def pose(frames: int = 1, heading: float = 0.0, **degrees: float) -> Posed:
    angles = np.zeros((frames, len(ANGLES)))
    for name, value in degrees.items():
        angles[:, ANGLES.index(name)] = np.radians(value)
    return pose_body(BUILD, Pose(np.zeros((frames, 2)), np.full(frames, heading), angles, np.zeros(frames)))


def offset(posed: Posed, start: str, end: str) -> np.ndarray:
    return posed.points[end][0] - posed.points[start][0]


def test_standing_body_is_upright_with_left_on_its_left() -> None:
    posed = pose()
    np.testing.assert_allclose(offset(posed, "left_hip", "left_knee"), [0, 0, -0.42], atol=1e-9)
    np.testing.assert_allclose(offset(posed, "right_hip", "left_hip"), [0, 0.2, 0], atol=1e-9)
    np.testing.assert_allclose(offset(posed, "right_shoulder", "left_shoulder"), [0, 0.36, 0], atol=1e-9)
    assert posed.points["nose"][0, 0] > posed.points["head"][0, 0]  # it looks along x


@pytest.mark.parametrize(
    ("angles", "start", "end", "direction"),
    [
        ({"left_shoulder_flex": 90}, "left_shoulder", "left_elbow", [1, 0, 0]),
        ({"left_shoulder_abduct": 90}, "left_shoulder", "left_elbow", [0, 1, 0]),
        ({"right_shoulder_abduct": 90}, "right_shoulder", "right_elbow", [0, -1, 0]),
        ({"left_elbow": 90}, "left_elbow", "left_wrist", [1, 0, 0]),
        ({"left_elbow": 90, "left_shoulder_twist": 85}, "left_elbow", "left_wrist", [0.087, -0.996, 0]),
        ({"right_hip_flex": 90}, "right_hip", "right_knee", [1, 0, 0]),
        ({"left_hip_abduct": 30}, "left_hip", "left_knee", [0, 0.5, -0.866]),
        ({"left_knee": 90}, "left_knee", "left_ankle", [-1, 0, 0]),
    ],
)
def test_a_joint_angle_turns_the_limb_where_it_should(
    angles: dict[str, float], start: str, end: str, direction: list[float]
) -> None:
    limb = offset(pose(**angles), start, end)
    # The elbow never stretches beyond 2 degrees, which turns the forearm a little in the shoulder tests.
    np.testing.assert_allclose(limb / np.linalg.norm(limb), direction, atol=2e-3)


def test_heading_turns_the_body_about_the_vertical() -> None:
    np.testing.assert_allclose(
        offset(pose(heading=np.pi / 2, left_hip_flex=90), "left_hip", "left_knee"), [0, 0.42, 0], atol=1e-9
    )


def test_limb_lengths_do_not_depend_on_the_pose() -> None:
    rng = np.random.default_rng(0)
    angles = rng.uniform(-3, 3, (50, len(ANGLES)))
    posed = pose_body(BUILD, Pose(np.zeros((50, 2)), rng.uniform(-3, 3, 50), angles, np.zeros(50)))
    for start, end, length in (
        ("left_shoulder", "left_elbow", 0.3), ("right_elbow", "right_wrist", 0.26), ("left_hip", "left_knee", 0.42),
        ("right_knee", "right_ankle", 0.41), ("pelvis", "spine", 0.25), ("spine", "neck", 0.25),
    ):  # fmt: skip
        np.testing.assert_allclose(np.linalg.norm(posed.points[end] - posed.points[start], axis=1), length)


def test_the_lowest_point_stands_on_the_floor() -> None:
    standing, sitting = pose(), pose(left_hip_flex=88, right_hip_flex=88, left_knee=5, right_knee=5)
    feet = [standing.points[f"left_{part}"][0, 2] for part in ("heel", "foot", "toe")]
    assert min(feet) == pytest.approx(0.035)  # the thickness of a sole
    assert sitting.points["pelvis"][0, 2] < 0.2 < standing.points["pelvis"][0, 2]


def test_angles_are_clipped_to_the_joints_limits() -> None:
    beyond = np.full((1, len(ANGLES)), 10.0)
    np.testing.assert_allclose(np.degrees(clip_to_limits(beyond))[0], [high for _, high in LIMITS.values()])
    np.testing.assert_allclose(np.degrees(clip_to_limits(-beyond))[0], [low for low, _ in LIMITS.values()])


def test_joint_positions_follow_the_joint_sets_order_and_repeat_copies() -> None:
    joints = get_skeleton("human36m-32").joints
    posed = pose()
    positions = joint_positions(posed, joints)
    assert positions.shape == (1, 32, 3)
    for copy, original in ((11, "pelvis"), (16, "neck"), (20, "left_wrist"), (23, "left_hand"), (28, "right_wrist")):
        np.testing.assert_array_equal(positions[:, copy], posed.points[original])
    np.testing.assert_array_equal(positions[:, 3], posed.points["right_ankle"])


def test_builds_vary_within_the_range_asked_for() -> None:
    rng = np.random.default_rng(0)
    builds = [sample_build(rng, stature=(1.6, 1.8)) for _ in range(50)]
    assert all(1.6 <= build.stature <= 1.8 for build in builds)
    assert len({build.thigh / build.shank for build in builds}) == 50
    for build in builds:
        standing = Pose(np.zeros((1, 2)), np.zeros(1), np.zeros((1, len(ANGLES))), np.zeros(1))
        assert pose_body(build, standing).points["head"][0, 2] == pytest.approx(build.stature, rel=0.06)
