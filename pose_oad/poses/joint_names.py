"""Joint names as other people's files spell them, in the project's spelling."""

from __future__ import annotations

import re

# Between words: anything that is neither letter nor digit, and changes of case as in leftEye and LEye.
_BETWEEN = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}


def joint_name(spelling: str) -> str:
    """Spell a joint's name as the project does: lower case, words joined by ``_``, ``left_`` or ``right_`` in front.

    ``Left Shoulder``, ``left-shoulder``, ``LShoulder``, ``l_shoulder``, ``shoulder.R`` are understood. A side is the
    word left or right, once, anywhere in the name, or else the letter l or r as its first or last word. A name that is
    nothing but a side, or names both, keeps its words; one that holds neither letter nor digit is empty.
    """
    words = [word.lower() for word in _BETWEEN.split(spelling) if word]
    written_out = [at for at, word in enumerate(words) if word in ("left", "right")]
    at_the_ends = [at for at in sorted({0, len(words) - 1}) if words and words[at] in _SIDES]
    sides = written_out or at_the_ends
    if len(words) < 2 or len(sides) != 1:
        return "_".join(words)
    rest = words[: sides[0]] + words[sides[0] + 1 :]
    return "_".join([_SIDES[words[sides[0]]], *rest])


def other_side(joint: str) -> str:
    """Return the joint of the other side of the body, or the joint itself where its name gives no side."""
    if joint.startswith("left_"):
        return "right_" + joint.removeprefix("left_")
    if joint.startswith("right_"):
        return "left_" + joint.removeprefix("right_")
    return joint
