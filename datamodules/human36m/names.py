"""What Human3.6M calls things: subjects, cameras, actions, and the irregular names of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Subject = Literal["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
#: In the order in which the release numbers them.
Camera = Literal["54138969", "55011271", "58860488", "60457274"]
Action = Literal[
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking",
]  # fmt: skip
CAMERAS: tuple[str, ...] = get_args(Camera)
ACTIONS: tuple[str, ...] = get_args(Action)
#: Every subject performs each action twice.
TAKES = 2
#: Parent of each of the 32 joints; -1 for the root.
PARENTS = (
    -1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14, 12, 16, 17, 18, 19, 20, 19, 22, 12, 24, 25, 26, 27, 28, 27, 30,
)  # fmt: skip
FRAME_RATE = 50.0  # Hz

# S1's folder spells two actions its own way, and h36m-fetch does so for all.
_CANONICAL = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
# The release writes "Walking 1", h36m-fetch "Walking-1"; the number may be missing.
_TITLE = re.compile(r"(?P<action>[A-Za-z]+)(?:[ -](?P<number>\d+))?")


@dataclass(frozen=True)
class RecordingName:
    """What one camera filmed of one sequence."""

    subject: str  #: ``S1``, ``S5``, …
    title: str  #: name of the sequence as the folder spells it, ``Walking 1``
    action: str  #: canonical name of the action
    number: int | None  #: number behind the name; None where there is none
    camera: str  #: camera number, ``55011271``

    @property
    def sequence(self) -> str:
        """What all cameras filmed: ``S1/Walking 1``."""
        return f"{self.subject}/{self.title}"

    @property
    def stem(self) -> str:
        """File name without its ending: ``Walking 1.55011271``."""
        return f"{self.title}.{self.camera}"

    @property
    def key(self) -> str:
        """How logs, reports and lists of sequences call it: ``S1/Walking 1.55011271``."""
        return f"{self.sequence}.{self.camera}"

    @property
    def labels(self) -> dict[str, str]:
        """What evaluation groups errors by."""
        return {"subject": self.subject, "action": self.action, "camera": self.camera}


def parse_name(subject: str, stem: str) -> RecordingName | None:
    """Take a name as ``Walking 1.55011271`` apart; None for one that is no recording's, as ``_ALL.55011271``."""
    title, _, camera = stem.rpartition(".")
    match = _TITLE.fullmatch(title)
    if match is None or not camera.isdecimal():
        return None
    action, number = match["action"], match["number"]
    return RecordingName(subject, title, _CANONICAL.get(action, action), int(number) if number else None, camera)
