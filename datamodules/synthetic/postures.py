"""The vocabulary of movement: arm gestures, leg stances and trunk attitudes, in degrees.

An arm is (shoulder flexion, abduction, inward twist, elbow, wrist); a leg is (hip flexion, abduction, outward twist,
knee, ankle); a trunk is (pelvis tilt, spine bend, spine twist, head nod). :mod:`datamodules.synthetic.motion` strings
them together into actions.
"""

from __future__ import annotations

ARMS: dict[str, tuple[float, float, float, float, float]] = {
    "rest": (2, 8, 10, 14, 0),
    "rest_bent": (-4, 10, 20, 30, 0),
    "hip": (-22, 42, 25, 92, 0),
    "belly": (14, 10, 55, 88, 0),
    "crossed": (32, 4, 70, 98, 0),
    "pocket": (-12, 16, 22, 42, 0),
    "behind": (-35, 14, 50, 50, 0),
    "forward": (82, 6, 0, 10, 0),
    "forward_low": (50, 10, 5, 15, 0),
    "aside": (8, 84, 0, 10, 0),
    "aside_low": (10, 48, 0, 18, 0),
    "up": (160, 12, 0, 14, 0),
    "up_aside": (60, 125, 0, 20, 0),
    "wave": (12, 78, -82, 92, 0),
    "greet": (70, 30, -30, 70, 0),
    "phone": (42, 34, 18, 140, 0),
    "mouth": (48, 12, 38, 128, 0),
    "plate": (22, 8, 22, 82, 0),
    "camera": (62, 18, 48, 118, 0),
    "behind_head": (70, 100, -40, 138, 0),
    "talk_low": (22, 14, 25, 74, 0),
    "talk_mid": (38, 22, 15, 88, 0),
    "talk_wide": (30, 42, -25, 80, 0),
    "talk_high": (58, 30, 0, 100, 0),
    "lap": (30, 6, 32, 62, 0),
    "knee": (42, 12, 10, 36, 0),
    "prop": (-42, 22, 0, 8, -30),
    "leash": (30, 14, 0, 30, 0),
    "run": (0, 12, 20, 92, 0),
    "throw": (60, 95, -70, 95, 0),
    "swing": (60, -10, 40, 25, 0),
}

LEGS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "stand": ((2, 4, 8, 5, 2), (2, 4, 8, 5, 2)),
    "relaxed": ((14, 6, 16, 24, 8), (-2, 2, 6, 3, 0)),
    "wide": ((4, 18, 14, 8, 0), (4, 18, 14, 8, 0)),
    "step": ((28, 3, 4, 16, 4), (-16, 3, 6, 14, 10)),
    "lunge": ((72, 6, 6, 78, 8), (-22, 4, 4, 40, 15)),
    "crouch": ((112, 22, 12, 132, 22), (108, 22, 12, 130, 22)),
    "kneel": ((88, 8, 6, 94, 4), (-6, 6, 4, 98, -40)),
    "sit": ((86, 8, 6, 84, 0), (86, 8, 6, 84, 0)),
    "sit_loose": ((82, 16, 12, 64, -4), (88, 10, 6, 92, 4)),
    "sit_crossed": ((98, -8, 4, 72, -10), (86, 8, 4, 86, 0)),
    "floor_long": ((90, 10, 10, 6, -10), (98, 8, 8, 24, -10)),
    "floor_bent": ((134, 10, 6, 94, -30), (130, 8, 4, 88, -30)),
    "floor_tailor": ((96, 40, 42, 122, -10), (98, 38, 42, 124, -10)),
    "floor_mixed": ((89, 12, 12, 10, -10), (133, 10, 6, 92, -30)),
    "kick": ((78, 6, 0, 22, -20), (4, 4, 8, 10, 5)),
    "jump": ((32, 8, 4, 48, -35), (18, 8, 4, 62, -35)),
}

TRUNKS: dict[str, tuple[float, float, float, float]] = {
    "upright": (0, 4, 0, 4),
    "proud": (-4, -6, 0, -6),
    "attentive": (4, 8, 0, 0),
    "look_down": (2, 12, 0, 26),
    "bow": (28, 28, 0, 12),
    "reach_down": (52, 40, 0, 10),
    "turned": (0, 4, 28, 0),
    "turned_back": (0, 4, -28, 0),
    "lean_back": (-18, 4, 0, 14),
    "slump": (-12, 24, 0, 12),
    "sprint": (14, 8, 0, -10),
}
