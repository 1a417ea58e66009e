"""What is recorded and photographed: subjects, actions, irregular file names, image ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from datamodules.synthetic.coco_writer import Photograph
from datamodules.synthetic.human36m_writer import Sequence

if TYPE_CHECKING:
    from datamodules.synthetic.generate import World

#: Actions of the streamed subject, then of the others, in the order in which they are recorded; all fifteen, so that a
#: longer list goes on with the actions not recorded yet and then with second takes.
_STREAM = (
    "Discussion", "Walking", "Sitting", "Greeting", "SittingDown", "TakingPhoto", "Posing", "Phoning", "WalkingDog",
    "Eating", "Purchases", "Directions", "Waiting", "Smoking", "WalkTogether",
)  # fmt: skip
_OTHERS = {
    "S5": ("Directions", "Sitting", "WalkingDog", "Posing", "TakingPhoto", "Eating", "SittingDown", "Walking",
           "Greeting", "Discussion", "Phoning", "Purchases", "Smoking", "Waiting", "WalkTogether"),
    "S9": ("Walking", "Discussion", "TakingPhoto", "Phoning", "SittingDown", "Posing", "WalkingDog", "Eating",
           "Sitting", "Purchases", "Directions", "Smoking", "Waiting", "WalkTogether", "Greeting"),
}  # fmt: skip
#: Subjects other than S1 spell two actions differently, as in the original.
_SPELLINGS = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}


def human36m_sequences(world: World) -> list[Sequence]:
    """List every recording of the target domain.

    Numbers after a name vary from subject to subject, or are missing, as in the original.

    Args:
        world: parameters of the synthetic world
    """
    plans = [("S1", _STREAM, world.stream_sequences, world.stream_frames)]
    plans += [(subject, actions, world.other_sequences, world.other_frames) for subject, actions in _OTHERS.items()]
    sequences = []
    for subject, actions, count, frames in plans:
        spellings = {} if subject == "S1" else _SPELLINGS
        for index in range(count):
            action, take = actions[index % len(actions)], index // len(actions)
            suffix = _suffix(subject, actions.index(action), take)
            name = spellings.get(action, action) + suffix
            sequences.append(Sequence(subject, name, action, frames, world.seed, world.frame_size))
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
