from __future__ import annotations

import copy

import pytest
import torch

from pose_oad.online.averaging import Ema, LatestWeights, SoftReset, WeightAverage
from pose_oad.online.learner import Learner
from pose_oad.online.options import TrainingOptions
from pose_oad.students import PoseStudent
from tests.stages import labelled, sgd, small_student


def of(network: PoseStudent) -> float:
    """One weight."""
    return next(network.parameters()).flatten()[0].item()


def filled(network: PoseStudent, value: float) -> PoseStudent:
    """The network with all weights and statistics at one value."""
    for tensor in network.state_dict().values():
        tensor.fill_(value)
    return network


def test_an_ema_moves_weights_and_buffers_by_its_momentum_at_every_step() -> None:
    student = filled(small_student(), 0)
    average = Ema(momentum=0.75)
    average.started(student)
    for value, mean in ((4, 1.0), (8, 2.75)):
        average.after_step(filled(student, value))
        state = average.serving(student).state_dict()
        assert {v.flatten()[0].item() for v in state.values() if v.is_floating_point()} == {mean}
        assert {v.item() for name, v in state.items() if name.endswith("batches_tracked")} == {value}
    assert of(student) == 8
    assert not average.serving(student).training


def test_a_window_ends_at_the_average_or_on_the_way_to_it() -> None:
    for reset, end in ((0.0, 4.0), (0.5, 2.5), (1.0, 1.0)):
        student = filled(small_student(), 0)
        average = Ema(momentum=0.75, reset=reset)
        average.started(student)
        average.after_step(filled(student, 4))
        average.window_closed(student)
        assert of(student) == end


def test_a_soft_reset_goes_back_by_its_share() -> None:
    student = filled(small_student(), 2)
    average = SoftReset(share=0.25)
    average.started(student)
    average.window_closed(filled(student, 10))
    assert of(student) == 8
    assert average.serving(student) is student


@pytest.mark.parametrize(
    "average", [LatestWeights("pretrained"), Ema(start="pretrained"), SoftReset(start="pretrained")]
)
def test_windows_may_begin_from_the_pretrained_weights(average: WeightAverage) -> None:
    student = filled(small_student(), 2)
    average.started(student)
    average.window_started(filled(student, 10))
    assert of(student) == 2


@pytest.mark.parametrize("kind", [Ema, SoftReset])
def test_a_resumed_average_goes_on_exactly(kind: type[WeightAverage]) -> None:
    def learner() -> Learner:
        return Learner(small_student(), TrainingOptions(epochs=1, batch_norm="frozen"), average=kind(start="previous"))

    whole, again = learner(), learner()
    whole.learn(labelled(3), 0, sgd(whole.student))
    state, weights = copy.deepcopy((whole.state_dict(), whole.student.state_dict()))
    again.student.load_state_dict(weights)
    again.load_state_dict(state)
    ends = []
    for one in (whole, again):
        one.learn(labelled(3, seed=1), 1, sgd(one.student))
        ends.append(one.average.serving(one.student).state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
