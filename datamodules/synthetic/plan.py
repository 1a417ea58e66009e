"""What is recorded and photographed: subjects, actions, irregular file names, image ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from datamodules.synthetic.coco_writer import Photograph
from datamodules.synthetic.human36m_writer import Sequence

#: The order in which actions are recorded; every subject begins elsewhere in it, and after all come second takes.
_ACTIONS = (
    "Discussion", "Walking", "Sitting", "Greeting", "SittingDown", "TakingPhoto", "Posing", "Phoning", "WalkingDog",
    "Eating", "Purchases", "Directions", "Waiting", "Smoking", "WalkTogether",
)  # fmt: skip
#: Subjects other than S1 spell two actions differently, as in the original.
_SPELLINGS = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}


@dataclass(frozen=True)
class Recordings:
    """Recordings of one length of a subject, each an action and a take of its own.

    Attributes:
        subject: whose
        takes: how many; all of a subject together are at most 30, the 15 actions twice
        frames: length of each, per camera
    """

    subject: Literal["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    takes: Annotated[int, Field(ge=1, le=30)]
    frames: Annotated[int, Field(ge=2, le=10**6)]


def human36m_sequences(recordings: Iterable[Recordings], seed: int, width: int) -> list[Sequence]:
    """List every recording of the target domain.

    Numbers after a name vary from subject to subject, or are missing, as in the original.

    Args:
        recordings: whose, how many, how long
        seed: seed of the world
        width: frame width, px
    """
    made: Counter[str] = Counter()
    sequences = []
    for part in recordings:
        spellings = {} if part.subject == "S1" else _SPELLINGS
        for _ in range(part.takes):
            take, place = divmod(made[part.subject], len(_ACTIONS))
            action = _ACTIONS[(4 * (int(part.subject[1:]) - 1) + place) % len(_ACTIONS)]
            name = spellings.get(action, action) + _suffix(part.subject, _ACTIONS.index(action), take)
            sequences.append(Sequence(part.subject, name, action, part.frames, seed, width))
            made[part.subject] += 1
    return sequences


def _suffix(subject: str, action: int, take: int) -> str:
    """Number after an action's name: two takes are 1 and 2, 2 and 3, or none and 1."""
    first = (action + len(subject) + int(subject[1:])) % 3
    return f" {first + take}" if first + take else ""


def photographs(seed: int, split: str, count: int, long_side: int) -> list[Photograph]:
    """List the photographs of a split with image ids that are scattered, unique and rising, as COCO's.

    Args:
        seed: seed of the world
        split: ``train2017`` or ``val2017``
        count: how many
        long_side: longer side of the largest, px
    """
    rng = np.random.default_rng([seed, split == "val2017", 7])
    ids = np.cumsum(rng.integers(2, 200, count)) * 2 + (split == "val2017")
    return [Photograph(split, index, int(image_id), seed, long_side) for index, image_id in enumerate(ids)]
