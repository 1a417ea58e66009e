from __future__ import annotations

from typing import Any

import pytest
import torch

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.evidence import HeldOut, Watch
from pose_oad.online.learner import Learner
from pose_oad.online.options import TrainingOptions
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student

BODY = get_skeleton("body-12")


def labels(ids: list[int], empty: tuple[int, ...] = ()) -> LabelledBatch:
    torch.manual_seed(1)
    keypoints = torch.full((len(ids), 1, 12, 3), 9.0)
    for number in empty:
        keypoints[ids.index(number)] = 0
    frames = torch.randint(0, 255, (len(ids), 32, 32, 3), dtype=torch.uint8)
    limbs = torch.ones(len(ids), len(BODY.limbs), dtype=torch.bool)
    return LabelledBatch(frames, keypoints, torch.ones(len(ids), 12, dtype=torch.bool), limbs, torch.tensor(ids))


def split(held_out: HeldOut, batch: LabelledBatch) -> tuple[list[int], list[int]]:
    trained, held = held_out.split(batch)
    held_out.keep(batch)
    return trained.frame_ids.tolist(), [] if held is None else held.frame_ids.tolist()


def test_every_fourth_label_is_held_back_across_windows() -> None:
    held_out = HeldOut(0.25)
    assert split(held_out, labels([1, 2, 3])) == ([1, 2, 3], [])
    assert split(held_out, labels([4, 5, 6])) == ([5, 6], [4])
    again = HeldOut(0.25)
    again.load_state_dict(held_out.state_dict())
    for each in (held_out, again):
        assert split(each, labels([7, 8, 9, 10], empty=(8,))) == ([7, 8, 10], [9])  # an empty one is no evidence
        assert each.earlier.kept is not None
        assert each.earlier.kept.frame_ids.tolist() == [4, 9]
    alone = HeldOut(0.5)
    assert split(alone, labels([1])) == ([1], [])
    assert split(alone, labels([2])) == ([2], [])  # one at least is trained on
    assert split(HeldOut(0.0), labels([1, 2, 3])) == ([1, 2, 3], [])


class Weight:
    value = 0

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


@pytest.mark.parametrize(
    ("losses", "steps", "best"),
    [
        ([5, 4, 3, 2, 1], 8, 8),  # looked at before, and after steps 2, 4, 6, 8
        ([5, 4, 3, 3.5, 3.1], 8, 4),  # two looks without a smaller loss
        ([1, 2, 3, 0, 0], 4, 0),  # never better than before: back to the start
        ([5, 4, 6, 3, 9], 8, 6),
    ],
)
def test_training_stops_and_goes_back_when_it_is_not_better(losses: list[float], steps: int, best: int) -> None:
    weight, looks = Weight(), iter(losses)
    watch = Watch(lambda: next(looks), [weight], every=2, patience=2)
    done = 0
    for done in range(1, 9):
        weight.value = done
        if watch.enough(done):
            break
    assert done == steps
    assert (watch.go_back(done), watch.best_step, weight.value) == (steps - best, best, best)


def test_the_last_steps_are_judged_too() -> None:
    weight, looks = Weight(), iter([3.0, 2.0, 1.0])
    watch = Watch(lambda: next(looks), [weight], every=2, patience=5)
    for step in (1, 2, 3):
        weight.value = step
        assert not watch.enough(step)
    assert (watch.go_back(3), weight.value) == (0, 3)


def student() -> PoseStudent:
    torch.manual_seed(0)
    return build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))


@pytest.mark.parametrize("rate", [1e-3, 1.0])
def test_a_window_that_teaches_nothing_is_gone_back_on(rate: float) -> None:
    """With a rate far too large the held-back labels get worse at once; with a small one they are learnt, too."""
    network = student()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    options = TrainingOptions(
        unit="steps", steps=20, batch_size=2, batch_norm="frozen", hold_out=0.5, check_every=2, patience=2
    )
    learner = Learner(network, options)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)

    def optimise(loss: Any) -> None:
        optimizer.zero_grad()
        loss.backward()
        if rate == 1.0:
            for weight in network.parameters():
                weight.grad = torch.ones_like(weight)
        optimizer.step()

    learnt = learner.learn(labels([1, 2, 3, 4]), 0, optimise)
    same = all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    if rate == 1.0:
        assert (learnt.steps, learnt.undone, same) == (4, 4, True)
    else:
        assert learnt.steps > 4
        assert learnt.undone < learnt.steps
        assert not same
    assert len(learner.held_out.earlier) == 0  # kept only when the window was sound
    learner.keep(labels([1, 2, 3, 4]))
    assert len(learner.held_out.earlier) == 2
