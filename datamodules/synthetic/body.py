"""The articulated body: proportions of a person, joint angles and their limits, forward kinematics.

A person's own frame has x forward, y to the left and z up, so a rotation's columns are forward, left and up. Everything
is vectorised over frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

SIDES = (("left", 1.0), ("right", -1.0))

#: Range of every joint angle, degrees. Sided angles are written once; left and right follow each other in
#: :data:`ANGLES`. Positive means: lean/nod forward, turn to the left, limb forward or outward, joint bent.
_CENTRAL = {
    "pelvis_tilt": (-30, 85), "pelvis_side": (-30, 30),
    "spine_bend": (-25, 75), "spine_side": (-30, 30), "spine_twist": (-45, 45),
    "head_nod": (-40, 50), "head_side": (-30, 30), "head_turn": (-70, 70),
}  # fmt: skip
_SIDED = {
    "shoulder_flex": (-55, 178), "shoulder_abduct": (-15, 150), "shoulder_twist": (-90, 85),
    "elbow": (2, 148), "wrist": (-45, 45),
    "hip_flex": (-30, 138), "hip_abduct": (-12, 55), "hip_twist": (-30, 50), "knee": (2, 145), "ankle": (-45, 25),
}  # fmt: skip
LIMITS: dict[str, tuple[float, float]] = {
    **_CENTRAL,
    **{f"{side}_{name}": limits for name, limits in _SIDED.items() for side, _ in SIDES},
}
ANGLES: tuple[str, ...] = tuple(LIMITS)
_LOW, _HIGH = np.radians(np.array(list(LIMITS.values()), float)).T


@dataclass(frozen=True)
class Build:
    """Proportions of one person, all in m.

    Attributes:
        stature: height of the standing body
        girth: thickness of flesh relative to the average
        shoulders: half the distance between the shoulder joints
        hips: half the distance between the hip joints
        spine: length of each half of the trunk, from pelvis over mid-spine to the base of the neck
        upper_arm: shoulder to elbow
        forearm: elbow to wrist
        thigh: hip to knee
        shank: knee to ankle
        foot: ankle to tip of the toes along the sole
        head: chin to crown
    """

    stature: float
    girth: float
    shoulders: float
    hips: float
    spine: float
    upper_arm: float
    forearm: float
    thigh: float
    shank: float
    foot: float
    head: float


def sample_build(
    rng: np.random.Generator,
    stature: tuple[float, float] = (1.52, 1.95),
    girth: tuple[float, float] = (0.85, 1.25),
) -> Build:
    """Draw a person's proportions around Drillis and Contini's segment ratios (as given by Winter, 2009).

    Args:
        rng: source of randomness
        stature: range of body height, m
        girth: range of the thickness factor
    """
    height = rng.uniform(*stature)

    def part(ratio: float) -> float:
        return float(height * ratio * rng.uniform(0.96, 1.04))

    return Build(
        stature=float(height),
        girth=float(rng.uniform(*girth)),
        shoulders=part(0.106),
        hips=part(0.056),
        spine=part(0.144),
        upper_arm=part(0.165),
        forearm=part(0.146),
        thigh=part(0.245),
        shank=part(0.240),
        foot=part(0.112),
        head=part(0.132),
    )


@dataclass(frozen=True)
class Pose:
    """What a body does over some frames.

    Attributes:
        place: where it stands on the floor, shape (frames, 2), m
        heading: direction it faces, counter-clockwise from world x, shape (frames,), rad
        angles: joint angles in the order of :data:`ANGLES`, shape (frames, angles), rad
        lift: height of the lowest point above the floor (a jump, a seat too high to touch it), shape (frames,), m
    """

    place: np.ndarray
    heading: np.ndarray
    angles: np.ndarray
    lift: np.ndarray


@dataclass(frozen=True)
class Posed:
    """A body in the world.

    Attributes:
        points: named points, each of shape (frames, 3), m
        frames: rotation of every body part, each of shape (frames, 3, 3); columns are forward, left, up
    """

    points: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]


def clip_to_limits(angles: np.ndarray) -> np.ndarray:
    """Bring joint angles (rad, shape (frames, angles)) into the range a human joint has."""
    return np.clip(angles, _LOW, _HIGH)


def _turn(sequence: str, *angles: np.ndarray) -> np.ndarray:
    return Rotation.from_euler(sequence, np.stack(angles, -1)).as_matrix()


def _along(frame: np.ndarray, forward: float, left: float, up: float) -> np.ndarray:
    return frame @ np.array([forward, left, up])


def pose_body(build: Build, pose: Pose) -> Posed:
    """Compute where every part of the body is (forward kinematics), its lowest point on the floor.

    Args:
        build: proportions of the person
        pose: what the person does

    Returns:
        named points and part frames for every frame of the pose.
    """
    angle = dict(zip(ANGLES, clip_to_limits(pose.angles).T, strict=True))
    zero = np.zeros_like(pose.heading)
    points: dict[str, np.ndarray] = {"pelvis": np.zeros((len(zero), 3))}
    frames: dict[str, np.ndarray] = {}
    frames["pelvis"] = _turn("ZYX", pose.heading, angle["pelvis_tilt"], angle["pelvis_side"])
    half_bend = _turn("ZYX", angle["spine_twist"] / 2, angle["spine_bend"] / 2, angle["spine_side"] / 2)
    frames["belly"] = frames["pelvis"] @ half_bend
    frames["chest"] = frames["belly"] @ half_bend
    points["spine"] = points["pelvis"] + _along(frames["belly"], 0.0, 0.0, build.spine)
    points["neck"] = points["spine"] + _along(frames["chest"], 0.0, 0.0, build.spine)
    _pose_head(build, angle, points, frames)
    for side, sign in SIDES:
        _pose_arm(build, side, sign, angle, points, frames)
        _pose_leg(build, side, sign, angle, points, frames)
    sole, seat = 0.035, 0.10 * build.girth
    lowest = np.min(
        [points[f"{side}_{part}"][:, 2] for side, _ in SIDES for part in ("heel", "toe", "foot")]
        + [points[f"{side}_knee"][:, 2] - 0.02 for side, _ in SIDES]
        + [points["pelvis"][:, 2] - seat + sole],
        axis=0,
    )
    shift = np.concatenate([pose.place, (pose.lift + sole - lowest)[:, None]], 1)
    return Posed({name: value + shift for name, value in points.items()}, frames)


def _pose_head(
    build: Build, angle: dict[str, np.ndarray], points: dict[str, np.ndarray], frames: dict[str, np.ndarray]
) -> None:
    frames["head"] = frames["chest"] @ _turn("ZYX", angle["head_turn"], angle["head_nod"], angle["head_side"])
    unit = build.head
    base = points["neck"] + _along(frames["head"], 0.10 * unit, 0.0, 0.42 * unit)
    points["chin"] = base
    points["skull"] = base + _along(frames["head"], 0.06 * unit, 0.0, 0.50 * unit)
    points["head"] = base + _along(frames["head"], 0.0, 0.0, 1.0 * unit)
    points["nose"] = points["skull"] + _along(frames["head"], 0.50 * unit, 0.0, -0.08 * unit)
    for side, sign in SIDES:
        points[f"{side}_eye"] = points["skull"] + _along(frames["head"], 0.40 * unit, sign * 0.15 * unit, 0.08 * unit)
        points[f"{side}_ear"] = points["skull"] + _along(frames["head"], -0.02 * unit, sign * 0.34 * unit, -0.04 * unit)


def _pose_arm(
    build: Build, side: str, sign: float, angle: dict[str, np.ndarray], points: dict[str, np.ndarray],
    frames: dict[str, np.ndarray],
) -> None:  # fmt: skip
    flex, abduct, twist = (angle[f"{side}_shoulder_{name}"] for name in ("flex", "abduct", "twist"))
    shrug = 0.02 + 0.05 * np.clip((abduct + flex - 1.2) / 1.5, 0.0, 1.0)  # the collar bone follows a raised arm
    collar = np.stack([0.0 * flex, 0.0 * flex + sign * build.shoulders, shrug - 0.055], -1)
    points[f"{side}_shoulder"] = points["neck"] + np.einsum("tij,tj->ti", frames["chest"], collar)
    frames[f"{side}_upper_arm"] = frames["chest"] @ _turn("YXZ", -flex, sign * abduct, -sign * twist)
    elbow = _turn("Y", -angle[f"{side}_elbow"])
    frames[f"{side}_forearm"] = frames[f"{side}_upper_arm"] @ elbow
    frames[f"{side}_hand"] = frames[f"{side}_forearm"] @ _turn("X", angle[f"{side}_wrist"])
    points[f"{side}_elbow"] = points[f"{side}_shoulder"] + _along(
        frames[f"{side}_upper_arm"], 0.0, 0.0, -build.upper_arm
    )
    wrist = points[f"{side}_elbow"] + _along(frames[f"{side}_forearm"], 0.0, 0.0, -build.forearm)
    points[f"{side}_wrist"] = wrist
    reach = 0.7 * build.forearm
    points[f"{side}_hand"] = wrist + _along(frames[f"{side}_hand"], 0.0, 0.0, -reach)
    points[f"{side}_thumb"] = wrist + _along(frames[f"{side}_hand"], 0.33 * reach, 0.0, -0.55 * reach)


def _pose_leg(
    build: Build, side: str, sign: float, angle: dict[str, np.ndarray], points: dict[str, np.ndarray],
    frames: dict[str, np.ndarray],
) -> None:  # fmt: skip
    flex, abduct, twist = (angle[f"{side}_hip_{name}"] for name in ("flex", "abduct", "twist"))
    points[f"{side}_hip"] = points["pelvis"] + _along(frames["pelvis"], 0.0, sign * build.hips, -0.02)
    frames[f"{side}_thigh"] = frames["pelvis"] @ _turn("YXZ", -flex, sign * abduct, sign * twist)
    frames[f"{side}_shank"] = frames[f"{side}_thigh"] @ _turn("Y", angle[f"{side}_knee"])
    frames[f"{side}_foot"] = frames[f"{side}_shank"] @ _turn("Y", -angle[f"{side}_ankle"])
    points[f"{side}_knee"] = points[f"{side}_hip"] + _along(frames[f"{side}_thigh"], 0.0, 0.0, -build.thigh)
    ankle = points[f"{side}_knee"] + _along(frames[f"{side}_shank"], 0.0, 0.0, -build.shank)
    points[f"{side}_ankle"] = ankle
    foot = frames[f"{side}_foot"]
    points[f"{side}_heel"] = ankle + _along(foot, -0.25 * build.foot, 0.0, -0.055)
    points[f"{side}_foot"] = ankle + _along(foot, 0.62 * build.foot, 0.0, -0.06)
    points[f"{side}_toe"] = ankle + _along(foot, 1.0 * build.foot, 0.0, -0.06)


def joint_positions(posed: Posed, joints: tuple[str, ...]) -> np.ndarray:
    """Collect the joints of a joint set by name.

    Args:
        posed: a body in the world
        joints: joint names; one that ends in ``_copy`` repeats the joint it is named after, as in Human3.6M

    Returns:
        shape (frames, joints, 3), m.
    """
    aliases = {"neck_left_copy": "neck", "neck_right_copy": "neck"}
    names = [aliases.get(joint, joint.removesuffix("_copy")) for joint in joints]
    return np.stack([posed.points[name] for name in names], 1)
