"""Actions: smooth joint-angle curves made of gestures, stances, gait and sway.

An action names what arms, legs and trunk like to do and how the body travels. :func:`perform` turns it into a
:class:`~datamodules.synthetic.body.Pose` for any moments in time; gestures follow one another along minimum-jerk curves
(Flash and Hogan, 1985), legs swing with the distance covered, and slow noise keeps everything alive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.synthetic.body import ANGLES, Build, Pose
from datamodules.synthetic.postures import ARMS, LEGS, TRUNKS

_COLUMN = {name: index for index, name in enumerate(ANGLES)}


@dataclass(frozen=True)
class Action:
    """What a kind of activity looks like.

    Attributes:
        arms: gestures to draw from, each an arm name or ``left|right``; one name serves both arms
        legs: stances to draw from when the body does not travel
        trunks: trunk attitudes to draw from
        hold: shortest and longest time between gestures, s
        speed: usual travelling speed, m/s
        rests: share of the time the body stays where it is
        shake: extra oscillation of raised forearms, degrees
        seat: height of a chair's seat above the floor, m; 0 where there is none
        gait: swing of the hips when walking, degrees
    """

    arms: tuple[str, ...]
    legs: tuple[str, ...] = ("stand", "relaxed", "wide")
    trunks: tuple[str, ...] = ("upright", "attentive", "turned", "turned_back")
    hold: tuple[float, float] = (0.7, 2.4)
    speed: float = 0.7
    rests: float = 0.65
    shake: float = 0.0
    seat: float = 0.0
    gait: float = 24.0


_FLOOR_LEGS = ("floor_long", "floor_bent", "floor_tailor", "floor_mixed")
_CHAIR_LEGS = ("sit", "sit_loose", "sit_crossed")
ACTIONS: dict[str, Action] = {
    "Directions": Action(("forward|rest", "rest|forward", "aside|hip", "rest|aside", "up|rest", "forward_low", "rest")),
    "Discussion": Action(("talk_low", "talk_mid", "talk_wide|talk_low", "talk_high|hip", "belly", "crossed", "rest")),
    "Eating": Action(("plate|mouth", "plate|plate", "plate|talk_mid", "plate|mouth"), trunks=("upright", "look_down")),
    "Greeting": Action(("rest|wave", "wave|rest", "rest|greet", "greet", "rest", "up"), shake=22.0, hold=(0.6, 1.8)),
    "Phoning": Action(("rest|phone", "hip|phone", "pocket|phone", "talk_low|phone", "crossed|phone"), rests=0.4),
    "Posing": Action(
        ("hip", "hip|behind_head", "behind_head", "crossed", "up|hip", "aside_low", "rest|hip", "up_aside"),
        legs=("stand", "relaxed", "wide", "step"), trunks=tuple(TRUNKS)[:7], hold=(1.0, 2.6),
    ),
    "Purchases": Action(
        ("forward_low|rest", "rest|plate", "leash", "plate", "rest|forward"),
        legs=("stand", "relaxed", "crouch", "step"), trunks=("look_down", "bow", "reach_down", "upright"), rests=0.5,
    ),
    "Sitting": Action(("lap", "knee", "crossed", "talk_low", "lap|mouth", "hip|lap", "behind_head"), _CHAIR_LEGS,
                      ("upright", "slump", "lean_back", "look_down"), rests=1.0, seat=0.46),
    "SittingDown": Action(("prop", "knee", "lap", "talk_low", "prop|knee", "rest"), (*_FLOOR_LEGS, "crouch", "kneel"),
                          ("upright", "slump", "lean_back", "look_down"), rests=1.0, hold=(1.2, 3.0)),
    "Smoking": Action(("hip|mouth", "pocket|talk_low", "rest|mouth", "crossed|mouth", "rest|aside_low"), rests=0.5),
    "TakingPhoto": Action(("camera", "camera", "plate", "camera", "rest"), rests=0.6,
                          legs=("stand", "step", "relaxed", "crouch", "kneel"), trunks=("upright", "bow", "attentive")),
    "Waiting": Action(("pocket", "crossed", "rest", "hip", "behind", "belly", "rest|phone"), rests=0.5),
    "Walking": Action(("rest", "rest_bent"), trunks=("upright",), speed=1.15, rests=0.0),
    "WalkingDog": Action(("rest|leash", "rest|forward_low", "leash", "rest_bent|leash"), speed=0.95, rests=0.15,
                         trunks=("upright", "look_down", "attentive", "bow")),
    "WalkTogether": Action(("rest", "rest|talk_low", "talk_mid|rest", "rest_bent"), speed=0.9, rests=0.15),
}  # fmt: skip
#: What people in photographs do besides: livelier, and mixed freely.
SNAPSHOTS: dict[str, Action] = {
    "running": Action(("run",), trunks=("sprint", "upright"), speed=3.2, rests=0.0, gait=40.0),
    "sport": Action(("throw|aside", "swing", "up", "forward|throw", "up_aside", "aside", "run"),
                    ("lunge", "wide", "step", "kick", "crouch", "jump"), tuple(TRUNKS)[:7], hold=(0.3, 0.8), rests=1.0),
    "anything": Action(tuple(ARMS), ("stand", "relaxed", "wide", "step", "lunge", "crouch"), tuple(TRUNKS)[:8],
                       rests=1.0),
}  # fmt: skip


def perform(action: Action, build: Build, times: np.ndarray, rng: np.random.Generator, reach: float = 0.9) -> Pose:
    """Let a body perform an action.

    Args:
        action: what to do
        build: proportions; they set the length of a stride
        times: moments asked for, shape (frames,), s from the start of the performance
        rng: source of randomness
        reach: how far the body strays from the middle of the floor, m; 0 keeps it on the spot, facing world x, and lets
            it walk as on a treadmill

    Returns:
        the pose at every moment; its angles may exceed the joint limits a little (the body clips them).
    """
    angles = np.zeros((len(times), len(ANGLES)))
    place, heading, travelled, going = _travel(action, times, rng, reach)
    _add_arms(angles, action, times, rng)
    stance = _gestures([LEGS[name][0] + LEGS[name][1] for name in action.legs], times, rng, (1.4, 4.0))
    mirror = rng.random() < 0.5
    for index, side in enumerate(("right", "left") if mirror else ("left", "right")):
        for joint, name in enumerate(("hip_flex", "hip_abduct", "hip_twist", "knee", "ankle")):
            angles[:, _COLUMN[f"{side}_{name}"]] = stance[:, 5 * index + joint] * (1 - going)
    trunk = _gestures([TRUNKS[name] for name in action.trunks], times, rng, (1.2, 3.5))
    for joint, name in enumerate(("pelvis_tilt", "spine_bend", "spine_twist", "head_nod")):
        angles[:, _COLUMN[name]] += trunk[:, joint]
    for side in ("left", "right"):  # a tilted pelvis must not tip the legs with it
        angles[:, _COLUMN[f"{side}_hip_flex"]] += trunk[:, 0]
    angles[:, _COLUMN["head_turn"]] += 26 * _sway(times, rng, 0.05, 0.3)
    _add_gait(angles, action, build, travelled, going)
    for column in range(len(ANGLES)):
        angles[:, column] += 2.2 * _sway(times, rng, 0.1, 0.9)
    lift = np.zeros(len(times)) if "jump" not in action.legs else np.full(len(times), 0.35 * rng.random() ** 3)
    return Pose(place, heading, np.radians(angles), lift)


def _add_arms(angles: np.ndarray, action: Action, times: np.ndarray, rng: np.random.Generator) -> None:
    gestures: list[tuple[float, ...]] = []
    for name in action.arms:
        left, right = name.split("|") if "|" in name else (name, name)
        gestures.append(ARMS[left] + ARMS[right])
    arms = _gestures(gestures, times, rng, action.hold)
    raised = np.clip((arms[:, [3, 8]] - 50) / 30, 0, 1)
    rate = rng.uniform(1.1, 1.8)
    for index, side in enumerate(("left", "right")):
        for joint, name in enumerate(("shoulder_flex", "shoulder_abduct", "shoulder_twist", "elbow")):
            angles[:, _COLUMN[f"{side}_{name}"]] = arms[:, 5 * index + joint]
        beat = np.sin(2 * np.pi * rate * times + rng.uniform(0, 6)) * (action.shake + 5 * _sway(times, rng, 0.2, 0.6))
        angles[:, _COLUMN[f"{side}_shoulder_twist"]] += beat * raised[:, index]
        angles[:, _COLUMN[f"{side}_elbow"]] += 0.6 * beat * raised[:, index] + 7 * _sway(times, rng, 0.3, 1.2)
        angles[:, _COLUMN[f"{side}_wrist"]] += 15 * _sway(times, rng, 0.2, 0.9)


def _add_gait(angles: np.ndarray, action: Action, build: Build, travelled: np.ndarray, going: np.ndarray) -> None:
    """Swing legs and arms with the distance covered, so that a standing foot hardly slides."""
    stride = 4 * (build.thigh + build.shank) * np.sin(np.radians(action.gait)) * 1.1  # the pelvis turns along
    phase = 2 * np.pi * travelled / stride
    for side, offset in (("left", 0.0), ("right", np.pi)):
        step = phase + offset
        swing = ((1 - np.sin(step)) / 2) ** 2.2  # 1 in the middle of the swing, when the knee is bent most
        rock = np.arcsin(0.96 * np.cos(step)) / np.arcsin(0.96)  # nearly a triangle: a planted leg turns steadily
        angles[:, _COLUMN[f"{side}_hip_flex"]] += going * (6 + action.gait * rock)
        angles[:, _COLUMN[f"{side}_knee"]] += going * (7 + (34 + action.gait) * swing)
        angles[:, _COLUMN[f"{side}_ankle"]] += going * (4 * np.cos(step + 2.4) - 14 * swing)
        angles[:, _COLUMN[f"{side}_hip_abduct"]] += going * 2
        angles[:, _COLUMN[f"{side}_shoulder_flex"]] -= going * 0.8 * action.gait * np.cos(step)
        angles[:, _COLUMN[f"{side}_elbow"]] -= going * 6 * np.cos(step)
    angles[:, _COLUMN["spine_twist"]] += going * 5 * np.cos(phase)
    angles[:, _COLUMN["pelvis_side"]] += going * 2.5 * np.sin(phase)


def _travel(
    action: Action, times: np.ndarray, rng: np.random.Generator, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lay a path over the floor: place (frames, 2), heading, distance covered (m), share of walking (0…1)."""
    grid = np.arange(-4.0, max(float(times.max()), 0.0) + 4.0, 0.02)
    if reach == 0:
        still = np.zeros(len(times))
        walking = still + (action.rests < rng.random())
        return np.zeros((len(times), 2)), still, action.speed * (times + rng.uniform(0, 9)), walking
    # The body heads for a point that wanders over the floor; walking and resting alternate.
    turn = rng.uniform(-np.pi, np.pi) + _wander(grid, rng, 0.9)
    walking = np.ones_like(grid)
    if action.rests > 0:
        walking = (_sway(grid, rng, 0.06, 0.16) > 1.1 * (action.rests - 0.5)).astype(float) * (action.rests < 1)
    walking = _smooth(walking, 0.3)
    speed = action.speed * walking
    place = np.zeros((len(grid), 2))
    heading = np.zeros(len(grid))
    current, where = turn[0], rng.uniform(-0.6, 0.6, 2) * reach
    ambition = 0.25 if action.rests >= 1 else 1.0  # who stays in place turns less
    for index in range(len(grid)):  # an integration: each step needs the one before
        home = np.arctan2(-where[1], -where[0])
        pull = np.clip((np.hypot(*where) / reach - 0.55) * 2.2, 0, 1) * walking[index]
        wanted = turn[index] * ambition
        error = float(np.angle(np.exp(1j * ((1 - pull) * wanted + pull * home - current))))
        current += np.clip(error, -1.2, 1.2) * 0.02 * 1.8
        where = where + 0.02 * speed[index] * np.array([np.cos(current), np.sin(current)])
        place[index], heading[index] = where, current
    distance = np.cumsum(speed) * 0.02

    def at(values: np.ndarray) -> np.ndarray:
        return np.interp(times, grid, values)

    return np.stack([at(place[:, 0]), at(place[:, 1])], 1), at(heading), at(distance), at(walking)


def _gestures(
    vocabulary: list[tuple[float, ...]], times: np.ndarray, rng: np.random.Generator, hold: tuple[float, float]
) -> np.ndarray:
    """Move from one posture to the next along minimum-jerk curves, shape (frames, angles), degrees."""
    count = int((max(float(times.max()), 0.0) + 2 * hold[1]) / hold[0]) + 2
    postures = np.array(vocabulary, float)[rng.integers(len(vocabulary), size=count)]
    postures *= rng.uniform(0.85, 1.12, postures.shape)
    postures += rng.normal(0, 3.0, postures.shape)
    duration = rng.uniform(*hold, count)
    start = np.cumsum(duration) - duration[0] - hold[1]
    move = np.minimum(duration, rng.uniform(0.45, 1.0, count))
    index = np.clip(np.searchsorted(start, times, side="right") - 1, 1, count - 1)
    s = np.clip((times - start[index]) / move[index], 0, 1)
    blend = (s**3 * (10 - 15 * s + 6 * s**2))[:, None]
    return postures[index - 1] + (postures[index] - postures[index - 1]) * blend


def _sway(times: np.ndarray, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Smooth noise of unit amplitude with frequencies between ``low`` and ``high`` Hz, shape (frames,)."""
    frequency, phase = rng.uniform(low, high, 3), rng.uniform(0, 2 * np.pi, 3)
    return np.sin(2 * np.pi * times[:, None] * frequency + phase).sum(1) / 2


def _wander(grid: np.ndarray, rng: np.random.Generator, rate: float) -> np.ndarray:
    steps = _smooth(rng.normal(0, rate, len(grid)), 0.8) * 6.0
    return np.cumsum(steps) * 0.02 * 3.0


def _smooth(values: np.ndarray, width: float) -> np.ndarray:
    half = int(3 * width / 0.02)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * 0.02 / width) ** 2)
    return np.convolve(np.pad(values, half, mode="edge"), kernel / kernel.sum(), mode="valid")
