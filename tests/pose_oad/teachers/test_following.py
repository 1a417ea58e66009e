from __future__ import annotations

import torch

from pose_oad.teachers.following import Follower
from tests.teachers import BODY, standing

NOBODY = torch.zeros(12, 3)


def numbers(frames: list[list[torch.Tensor]], **options: float) -> list[list[int]]:
    follower = Follower(BODY, **options)  # type: ignore[arg-type]
    people = [torch.stack(frame) if frame else torch.zeros(0, 12, 3) for frame in frames]
    return [follower.follow(number, found).tolist() for number, found in enumerate(people)]


def test_two_who_cross_keep_their_numbers() -> None:
    """They walk through each other, 4 px a frame each; the later ones are listed the other way round."""
    frames = [[standing(20 + 4 * t), standing(102 - 4 * t)] for t in range(21)]
    assert numbers(frames) == [[0, 1]] * 21
    turned = frames[:9] + [frame[::-1] for frame in frames[9:]]
    assert numbers(turned) == [[0, 1]] * 9 + [[1, 0]] * 12
    # Without motion each is taken for who stood nearest: they swap where they meet.
    assert numbers(frames, motion=False)[-1] == [1, 0]


def test_one_who_is_hidden_while_crossing_is_known_again() -> None:
    """The second one is hidden by the first for five frames."""
    frames = [[standing(20 + 4 * t), standing(102 - 4 * t)] for t in range(21)]
    for t in range(8, 13):
        frames[t] = frames[t][:1]
    assert numbers(frames) == [[0, 1]] * 8 + [[0]] * 5 + [[0, 1]] * 8


def test_one_who_leaves_and_returns_is_the_same_unless_it_takes_too_long() -> None:
    stays, away = standing(50), [standing(180 + 5 * t) for t in range(5)]
    frames = [[stays, one] for one in away] + [[stays]] * 20 + [[stays, one] for one in away[::-1]]
    assert numbers(frames) == [[0, 1]] * 5 + [[0]] * 20 + [[0, 1]] * 5
    assert numbers(frames, patience=10) == [[0, 1]] * 5 + [[0]] * 20 + [[0, 2]] * 5


def test_a_new_person_elsewhere_has_a_new_number_and_nobody_has_none() -> None:
    assert numbers([[standing(50)], [], [standing(250)], [NOBODY, standing(50)]]) == [[0], [], [1], [-1, 0]]
