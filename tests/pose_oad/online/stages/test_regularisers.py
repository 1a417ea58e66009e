from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.learner import Learner
from pose_oad.online.options import TrainingOptions
from pose_oad.online.regularisers import (
    BatchNormOnly,
    CoordinateDescent,
    Ewc,
    L2Sp,
    LastLayers,
    LearningWithoutForgetting,
    LessForgetting,
    Mas,
    Regulariser,
    RegulariserSum,
    frames_of,
)  # fmt: skip
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import UserError
from tests.stages import labelled, sgd, small_student


class OneWeight(nn.Module):
    """A network of two weights: maps are (a x, 3 a x), fields 0 b x, of frames of one number x."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor([2.0])), nn.Parameter(torch.tensor([5.0]))
        self.register_buffer("scale", torch.ones(1))
        self.head = nn.Linear(1, 1)

    def normalise(self, frames: Tensor) -> Tensor:
        return frames.float()

    def backbone(self, images: Tensor) -> list[Tensor]:
        return [self.a * images]

    def parameters(self, recurse: bool = True):  # the head is only there to be frozen
        return iter([self.a, self.b])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([self.a * images, 3 * self.a * images], 1), 0 * self.b * images


def numbers(values: list[int], origin: list[int] | None = None) -> LabelledBatch:
    frames = torch.tensor(values, dtype=torch.uint8).view(-1, 1)
    nothing = torch.zeros(len(values), 0)
    origins = torch.tensor(origin or [], dtype=torch.int8)
    return LabelledBatch(frames, nothing, nothing, nothing, nothing, origin=origins)


@pytest.fixture
def network() -> Any:
    return OneWeight()


def moved(network: Any, a: float, b: float) -> Any:
    with torch.no_grad():
        network.a.fill_(a)
        network.b.fill_(b)
    return network


def test_l2_sp_pulls_every_weight_back_to_where_it_was(network: Any) -> None:
    l2 = L2Sp(strength=0.5)
    l2.started(network)
    penalty = l2.penalty(moved(network, 3.0, 7.0), numbers([1]))
    assert penalty.item() == 0.5 * (1 + 4)
    penalty.backward()
    assert (network.a.grad.item(), network.b.grad.item()) == (1.0, 2.0)


def test_mas_measures_what_the_length_of_the_maps_depends_on(network: Any) -> None:
    """The squared length is 10 a² x²; by a, 20 a x²; nothing depends on b. Brought to a mean of 1: (2, 0)."""
    mas = Mas(strength=0.5, keep=0.5, applies_to="labelled")
    mas.started(network)
    assert mas.penalty(network, numbers([1, 3])).item() == 0
    mas.window_closed(network)
    assert mas.importance.tolist() == [2, 0]
    penalty = mas.penalty(moved(network, 5.0, 100.0), numbers([1]))
    assert penalty.item() == 0.5 * 2 * 9
    penalty.backward()
    assert (network.a.grad.item(), network.b.grad.item()) == (0.5 * 2 * 2 * 3, 0)
    mas.window_closed(network)
    assert mas.importance.tolist() == [0.5 * 2 + 2, 0]
    assert mas.penalty(network, numbers([1])).item() == 0


def test_ewc_measures_the_mean_squared_gradient_of_the_likelihood(network: Any) -> None:
    """By a, noise (e, f) on the two maps gives (e + 3 f) x, whose square is 10 x² on average; frames count alike."""
    ewc, noise = Ewc(strength=1.0), torch.Generator().manual_seed(0)
    measured = [ewc._measure(network, torch.tensor([[2]], dtype=torch.uint8), noise) for _ in range(500)]
    assert torch.stack(measured).mean(0).tolist() == pytest.approx([40, 0], rel=0.2)
    ewc.started(network)
    ewc.penalty(network, numbers([1, 2]))
    ewc.window_closed(network)
    assert ewc.importance.tolist() == [2, 0]
    again = Ewc(strength=1.0)
    again.started(network)
    again.load_state_dict(ewc.state_dict())
    moved(network, 4.0, 9.0)
    assert again.penalty(network, numbers([1])).item() == ewc.penalty(network, numbers([1])).item() == 2 * 4


def test_importance_is_taken_on_the_frames_it_applies_to(network: Any) -> None:
    for applies_to, wanted in (("new", [1]), ("replayed", [2, 3]), ("labelled", [1, 2, 3]), ("unlabelled", [9])):
        batch, others = numbers([1, 2, 3], [0, 1, 2]), torch.tensor([[9]], dtype=torch.uint8)
        found = frames_of(applies_to, batch, others)  # type: ignore[arg-type]
        assert found is not None
        assert found.flatten().tolist() == wanted
    assert frames_of("replayed", numbers([1]), None) is frames_of("unlabelled", numbers([1]), None) is None
    assert Mas(1.0, frames=5, applies_to="unlabelled").unlabelled_frames == 5
    assert Mas(1.0, frames=5, applies_to="new").unlabelled_frames == 0


@pytest.mark.parametrize(("kind", "penalty", "gradient"), [
    (LearningWithoutForgetting, (1**2 + 3**2) / 2 * 4, (2 * 1 + 2 * 9) / 2 * 4),
    (LessForgetting, 1 * 4, 2 * 4),
])  # fmt: skip
def test_a_snapshot_holds_maps_or_features(network: Any, kind: Any, penalty: float, gradient: float) -> None:
    """Of x = 2, a moved by 1: maps by (2, 6), the feature by 2."""
    held = kind(strength=1.0, applies_to="replayed")
    held.started(network)
    held.window_started(network)
    batch = numbers([7, 2], [0, 1])
    assert held.penalty(network, batch).item() == 0
    found = held.penalty(moved(network, 3.0, 5.0), batch)
    assert found.item() == penalty
    found.backward()
    assert network.a.grad.item() == gradient
    assert held.penalty(network, numbers([7])) is None


def test_less_forgetting_freezes_the_head() -> None:
    student = small_student()
    LessForgetting(1.0).started(student)
    assert not any(parameter.requires_grad for parameter in student.head.parameters())
    assert all(parameter.requires_grad for parameter in student.backbone.parameters())


def test_a_sum_weighs_penalties_and_calls_every_part() -> None:
    class Constant(Regulariser):
        unlabelled_frames = 3
        steps = 0

        def penalty(
            self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None
        ) -> Tensor | None:
            return torch.tensor(2.0)

        def after_step(self, student: PoseStudent) -> None:
            self.steps += 1

        def state_dict(self) -> dict[str, Any]:
            return {"steps": self.steps}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.steps = state["steps"]

        def counts(self) -> dict[str, int]:
            return {"bytes": 5}

    student = small_student()
    both = RegulariserSum({"one": Constant(), "none": Regulariser(), "two": Constant()}, {"two": 10.0})
    assert both.penalty(student, labelled(1)).item() == 22  # type: ignore[union-attr]
    assert RegulariserSum({"none": Regulariser()}).penalty(student, labelled(1)) is None
    both.after_step(student)
    assert both.state_dict() == {"one": {"steps": 1}, "none": {}, "two": {"steps": 1}}
    again = RegulariserSum({"one": Constant(), "none": Regulariser(), "two": Constant()})
    again.load_state_dict(both.state_dict())
    assert again.state_dict() == both.state_dict()
    assert (both.unlabelled_frames, both.counts()) == (3, {"bytes": 5})
    with pytest.raises(ValueError, match="weights"):
        RegulariserSum({"one": Constant()}, {"other": 1.0})


def test_coordinate_descent_keeps_what_moves_most_and_undoes_the_rest() -> None:
    student = small_student()
    start = [parameter.detach().clone() for parameter in student.parameters()]
    total = sum(parameter.numel() for parameter in start)
    ams = CoordinateDescent(share=0.1)
    ams.started(student)
    ams.window_started(student)

    def step(size: float) -> None:
        """Move the first layer most, and all others a little."""
        with torch.no_grad():
            for place, parameter in enumerate(student.parameters()):
                parameter += size if place == 0 else size / 100
        ams.after_step(student)

    step(1.0)
    changed = [(parameter != old).flatten() for parameter, old in zip(student.parameters(), start, strict=True)]
    assert changed[0].all()
    assert int(torch.cat(changed).sum()) == round(total * 0.1)
    step(-3.0)
    again = [(parameter != old).flatten() for parameter, old in zip(student.parameters(), start, strict=True)]
    assert torch.equal(torch.cat(again), torch.cat(changed))
    assert torch.allclose(next(student.parameters()), start[0] - 2.0, atol=1e-5)
    assert ams.counts() == {"update_bytes": -(-total // 8) + 2 * round(total * 0.1)}


def test_coordinates_chosen_by_the_window_before_are_those_of_its_last_step() -> None:
    student = small_student()
    ams = CoordinateDescent(share=0.1, chosen_by="window_before")
    ams.started(student)

    def window(layer: int) -> Tensor:
        ams.window_started(student)
        before = [parameter.detach().clone() for parameter in student.parameters()]
        for _ in range(2):
            with torch.no_grad():
                for place, parameter in enumerate(student.parameters()):
                    parameter += 1 if place == layer else 0.01
            ams.after_step(student)
        ams.window_closed(student)
        changed = [(parameter != old).any() for parameter, old in zip(student.parameters(), before, strict=True)]
        return torch.stack(changed)

    last = len(list(student.parameters())) - 1
    assert window(0)[0]
    fresh = CoordinateDescent(share=0.1, chosen_by="window_before")
    fresh.started(student)
    fresh.load_state_dict(copy.deepcopy(ams.state_dict()))
    assert torch.equal(fresh.state_dict()["moving"], ams.state_dict()["moving"])
    assert window(last)[0]  # chosen by the last step of the window before, though the last layer now moves most
    assert window(0)[last]


@pytest.mark.parametrize(
    ("partial", "moves"),
    [
        (LastLayers(["head"]), lambda name: name.startswith("head.")),
        (
            LastLayers(["head.out", "backbone.blocks.3"]),
            lambda name: name.startswith(("head.out.", "backbone.blocks.3.")),
        ),
        (BatchNormOnly(), None),
    ],
)
def test_only_the_chosen_layers_move(partial: Regulariser, moves: Any) -> None:
    student = small_student()
    names = {name for name, layer in student.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    learner = Learner(student, TrainingOptions(epochs=2, batch_norm="frozen"), regulariser=partial)
    learner.learn(labelled(4), 0, sgd(student, 1.0))
    moved = {name for name, parameter in student.named_parameters() if not torch.equal(parameter, before[name])}
    wanted = moves or (lambda name: name.rpartition(".")[0] in names)
    assert moved
    assert all(wanted(name) for name in moved)


def test_layers_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match=r"regulariser\.layers=tail: expected one of .*head"):
        LastLayers(["tail"]).started(small_student())


def test_unlabelled_frames_are_drawn_from_the_window_by_the_seed() -> None:
    class Noting(Regulariser):
        unlabelled_frames = 2

        def __init__(self) -> None:
            self.seen: list[list[int]] = []

        def penalty(
            self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None
        ) -> Tensor | None:
            self.seen.append([] if unlabelled is None else unlabelled[:, 0, 0, 0].tolist())
            return None

    stream = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(-1, 32, 32, 3)
    drawn = []
    for seed in (0, 0, 1):
        noting = Noting()
        learner = Learner(small_student(), TrainingOptions(epochs=3, seed=seed), regulariser=noting)
        learner.learn(labelled(4), 0, sgd(learner.student), stream)
        assert all(len(set(seen)) == 2 for seen in noting.seen)
        drawn.append(noting.seen)
    assert drawn[0] == drawn[1] != drawn[2]
