"""Each objective on maps of a few cells: its value, and where its gradient points."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from pose_oad.online.learner import Learner
from pose_oad.online.objectives import (
    Consistency,
    DualConsistency,
    FeatureLoss,
    InfluenceWeights,
    MapOutputs,
    MapRegression,
    Objective,
    RegionWeights,
    SelfDistillation,
    SpatialKl,
    TrainingTarget,
    WeightedSum,
)
from pose_oad.online.objectives.consistency import distorted
from pose_oad.online.objectives.experimental import AuxiliaryHeads, FrequencyLoss, Margin, RankedCells
from pose_oad.online.options import TrainingOptions
from pose_oad.online.regularisers import LessForgetting
from pose_oad.poses.maps import KnownCells
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import UserError
from tests.stages import BODY, labelled, pair_target, predicted, sgd, small_student

EMPTY = [0.0, 0.0, 0.0, 0.0]


def gradient(objective: Objective, maps: list[float], labels: list[float], **known: Any) -> tuple[float, list[float]]:
    """Value, and gradient by the first joint's map, where the second joint's is empty in both."""
    outputs, size = predicted([maps, [0.0] * len(maps)], (1, len(maps))), (1, len(maps))
    total = objective(outputs, pair_target([labels, [0.0] * len(maps)], size)._replace(**known)).total
    total.backward()
    return total.item(), outputs.confidence_maps.grad[0, 0].flatten().tolist()  # type: ignore[index]


def target_of(student: PoseStudent, frames: int, origin: list[int] | None = None) -> tuple[MapOutputs, TrainingTarget]:
    """Some labelled frames, and what a student says of them."""
    batch = labelled(frames, origin)
    features = tuple(student.backbone(student.normalise(batch.frames)))
    target = TrainingTarget(
        student.targets(batch.keypoints), BODY, batch.known, frames=batch.frames, origin=batch.origin
    )
    maps, fields = student.head(features)
    return MapOutputs(maps, fields, features), target


def test_regions_are_averaged_apart() -> None:
    """Labels: a peak, a ring, two of background; with the second joint's, six of background."""
    value, slope = gradient(RegionWeights(peak=1, ring=10, background=100), [0.5, 0.7, 0.3, 0.0], [1.0, 0.5, 0.0, 0.0])
    assert value == pytest.approx(0.5**2 + 10 * 0.2**2 + 100 * 0.3**2 / 6)
    assert slope == pytest.approx([-2 * 0.5, 10 * 2 * 0.2, 100 * 2 * 0.3 / 6, 0])


def test_a_region_leaves_out_what_is_not_known() -> None:
    cells = KnownCells(torch.tensor([[[[False, True, True, True]], [[True] * 4]]]), torch.ones(1, 1, 1, 4).bool())
    value, slope = gradient(RegionWeights(), [0.5, 0.7, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0], cells=cells)
    assert value == pytest.approx(0.2**2)
    assert slope == pytest.approx([0, 0.4, 0, 0])


def test_spatial_kl_is_the_divergence_of_distributions() -> None:
    """Where tau T is 1, the gradient by the maps is T² (p_student - p_label)."""
    labels, maps = [0.0, math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(3), 0.0]
    p, q = np.array([1, 2, 1, 1]) / 5, np.array([1, 1, 3, 1]) / 6
    value, slope = gradient(SpatialKl(tau=0.5, hottest=2.0), maps, labels)
    assert value == pytest.approx(4 * (p * np.log(p / q)).sum())
    assert slope == pytest.approx(list(4 * (q - p)), abs=1e-6)
    assert gradient(SpatialKl(tau=0.5), [m + 7 for m in maps], labels)[0] == pytest.approx(
        gradient(SpatialKl(tau=0.5), maps, labels)[0], abs=1e-5
    )
    assert gradient(SpatialKl(), maps, EMPTY) == (0, [0, 0, 0, 0])  # a joint that is not there is nowhere
    known = KnownCells(torch.tensor([[[[True, True, False, True]], [[True] * 4]]]), torch.ones(1, 1, 1, 4).bool())
    assert gradient(SpatialKl(), [0.0, math.log(2), 9.0, 0.0], labels, cells=known)[0] == pytest.approx(0, abs=1e-6)


def test_a_cosine_schedule_cools_within_every_window() -> None:
    student = small_student()
    kl = SpatialKl(schedule="cosine", hottest=5.0, coldest=1.0, steps=4)
    for _ in range(2):
        kl.window_started(student)
        seen = []
        for _ in range(6):
            seen.append(kl.temperature)
            kl.after_step(student)
        assert seen == pytest.approx([5, 1 + 2 * (1 + math.sqrt(0.5)), 3, 1 + 2 * (1 - math.sqrt(0.5)), 1, 1])


def test_xi_mixes_labels_with_own_maps() -> None:
    student = small_student().eval()
    batch = labelled(2)
    own, label = student.maps(batch.frames), student.targets(batch.keypoints)
    outputs = MapOutputs(*(torch.zeros_like(part).requires_grad_() for part in own))
    for xi in (0.0, 0.25, 1.5):
        objective = SelfDistillation(xi=xi)
        objective.started(student)
        target = TrainingTarget(label, BODY, batch.known, frames=batch.frames)
        mixed = (xi * own[0] + (1 - xi) * label.confidence_maps).clamp(0, 1)
        [slope] = torch.autograd.grad(objective(outputs, target).total, outputs.confidence_maps)
        assert torch.allclose(slope, -2 * mixed / mixed.numel(), atol=1e-9)


@pytest.mark.parametrize(("own", "steps", "windows"), [("average", [0.5, 0.75], 0.75), ("snapshot", [0, 0], 1)])
def test_own_maps_are_those_of_an_average_or_of_a_windows_end(own: Any, steps: list[float], windows: float) -> None:
    student = small_student()
    weight = next(student.parameters())
    objective = SelfDistillation(own=own, momentum=0.5)
    with torch.no_grad():
        weight.fill_(0)
        objective.started(student)
        weight.fill_(1)
    for expected in steps:
        objective.after_step(student)
        assert next(objective.teacher.parameters()).flatten()[0] == expected
    objective.window_closed(student)
    assert next(objective.teacher.parameters()).flatten()[0] == windows


def test_the_feature_loss_vanishes_at_the_pretrained_student_and_holds_directions() -> None:
    student = small_student().eval()
    loss = FeatureLoss()
    loss.started(student)
    outputs, target = target_of(student, 2)
    assert loss(outputs, target).total.item() == pytest.approx(0, abs=1e-9)
    longer = tuple((3 * part).detach() for part in outputs.features)
    assert loss(outputs._replace(features=longer), target).total.item() == pytest.approx(0, abs=1e-9)
    against = tuple(-part.detach() for part in outputs.features)
    whole = [(part.abs().sum(1) > 0).float().mean().item() for part in outputs.features]
    assert loss(outputs._replace(features=against), target).total.item() == pytest.approx(4 * sum(whole), rel=1e-4)


class Stub:
    """A student and its averages: predicts what it is told to."""

    def __init__(self, maps: Tensor) -> None:
        self.given = (maps, torch.zeros(len(maps), 1, 2, *maps.shape[2:]))
        self.foreground = 0.0

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return self.given

    def normalise(self, frames: Tensor) -> Tensor:
        return frames

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.given


def test_consistency_follows_the_average_where_it_is_sure() -> None:
    teacher = Stub(torch.tensor([[0.9, 0.0], [0.2, 0.1]]).view(1, 2, 1, 2))
    student = Stub(torch.zeros(1, 2, 1, 2).requires_grad_())
    objective = Consistency(threshold=0.5, geometry=0.0)
    objective._student = student  # type: ignore[assignment]
    objective._teachers[0].serving = lambda student: teacher  # type: ignore[assignment, method-assign]
    target = pair_target([[0.0, 0.0], [0.0, 0.0]], (1, 2))
    frames = torch.zeros(1, 4, 8, 3, dtype=torch.uint8)
    loss = objective(predicted([[0.0, 0.0], [0.0, 0.0]], (1, 2)), target._replace(unlabelled=frames)).total
    assert loss.item() == pytest.approx(0.9**2 / 2)
    [slope] = torch.autograd.grad(loss, student.given[0])
    assert slope.flatten().tolist() == pytest.approx([-0.9, 0, 0, 0])
    nothing = objective(predicted([[0.5, 0.0], [0.0, 0.0]], (1, 2)), target).total
    assert nothing.item() == 0
    nothing.backward()


def test_maps_move_with_the_distorted_frame() -> None:
    frames = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    maps = torch.zeros(4, 1, 8, 8)
    frames[:, 12:16, 12:16], maps[:, 0, 3, 3] = 255, 1.0
    seen, (moved, _), inside = distorted(frames, (maps, torch.zeros(4, 1, 2, 8, 8)), np.random.default_rng(0), 0.3, 0.0)
    assert not torch.equal(seen, frames)
    assert not inside.all()
    squares = torch.nn.functional.avg_pool2d(seen[..., 0].float().unsqueeze(1), 4).flatten(1)
    assert torch.equal(squares.argmax(1), moved.flatten(1).argmax(1))
    coloured, (still, _), everywhere = distorted(
        frames, (maps, torch.zeros(4, 1, 2, 8, 8)), np.random.default_rng(0), 0.0, 0.3
    )
    assert torch.equal(still, maps) or torch.allclose(still, maps, atol=1e-5)
    assert everywhere.all()
    assert not torch.equal(coloured, frames)


def test_two_averages_take_turns() -> None:
    student = small_student()
    weight = next(student.parameters())
    objective = DualConsistency(momentum=0.5)
    with torch.no_grad():
        weight.fill_(0)
        objective.started(student)
        weight.fill_(1)
    seen = []
    for _ in range(3):
        objective.after_step(student)
        seen.append([next(t.serving(student).parameters()).flatten()[0].item() for t in objective._teachers])
    assert seen == [[0.5, 0], [0.5, 0.5], [0.75, 0.5]]
    (geometry, no_colour), (no_geometry, colour) = objective._distortions
    assert (geometry, no_colour, no_geometry, colour) == (0.2, 0.0, 0.0, 0.2)


def test_frames_whose_step_helps_the_trusted_ones_count_more() -> None:
    student = small_student().eval()
    objective = InfluenceWeights(sharpness=100.0)
    objective.started(student)
    batch = labelled(3, [0, 0, 1])
    batch.frames[0] = batch.frames[2]
    batch.frames[1] = batch.frames[2]
    outputs = MapOutputs(*student(student.normalise(batch.frames)))
    maps = student.targets(batch.keypoints)
    for part, own in zip(maps, outputs[:2], strict=True):
        part[0] = part[2]  # says what the trusted frame says
        part[1] = 2 * own[1].detach() - part[2]  # says the opposite: its gradient points the other way
    target = TrainingTarget(maps, BODY, batch.known, frames=batch.frames, origin=batch.origin)
    weight = objective.weight(outputs, target)
    assert weight is not None
    last = torch.autograd.grad(
        MapRegression()(
            MapOutputs(*(p[2:] for p in outputs[:2])),  # type: ignore[arg-type]
            TrainingTarget(type(maps)(*(p[2:] for p in maps)), BODY, batch.known[2:]),
        ).total,
        objective._last,
        retain_graph=True,
    )
    product = 100 * sum(part.square().sum().item() for part in last)
    assert weight.tolist() == pytest.approx([1 / (1 + math.exp(-product)), 1 / (1 + math.exp(product)), 1], abs=1e-4)
    assert objective.weight(outputs, target._replace(origin=None)) is None
    assert objective(outputs, target).total.requires_grad


def test_influence_needs_last_layers_that_move() -> None:
    with pytest.raises(UserError, match="objective=influence"):
        Learner(small_student(), TrainingOptions(), InfluenceWeights(), regulariser=LessForgetting(1.0))


def test_a_frequency_loss_does_not_see_a_constant() -> None:
    assert gradient(FrequencyLoss(), [0.3, 1.3, 0.3, 0.3], [0.0, 1.0, 0.0, 0.0])[0] == pytest.approx(0, abs=1e-12)
    value, slope = gradient(FrequencyLoss(), [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0])
    spectrum = np.fft.fft([0.0, 1.0, 0.0, 0.0])
    assert value == pytest.approx((np.abs(spectrum[1:]) ** 2).sum() / 4 / 8)  # Parseval; eight cells in all
    assert slope == pytest.approx([2 * 0.25 / 8, -2 * 0.75 / 8, 2 * 0.25 / 8, 2 * 0.25 / 8])


def test_a_margin_is_highest_less_second_peak() -> None:
    """Margins of 0.7 (cells beside the peak are none) and 1; the second joint's are both 0."""
    value, slope = gradient(Margin(distance=1), [0.9, 0.8, 0.0, 0.2], [1.0, 0.0, 0.0, 0.0])
    assert value == pytest.approx(0.3**2 / 2)
    assert slope == pytest.approx([-0.3, 0, 0, 0.3])


def test_the_order_of_the_highest_cells_is_learnt() -> None:
    """Two of three ranked: 1/3, then 1/2, where all scores are alike."""
    value, slope = gradient(RankedCells(cells=2, tau=1.0), [0.0, 0.0, 0.0], [0.5, 1.0, 0.0])
    assert value == pytest.approx((math.log(3) + math.log(2)) / 2)
    assert slope == pytest.approx([(1 / 3 + 1 / 2 - 1) / 2, (1 / 3 - 1) / 2, (1 / 3 + 1 / 2) / 2])


def test_auxiliary_heads_learn_and_teach_earlier_stages() -> None:
    student = small_student()
    objective = AuxiliaryHeads(learning_rate=1e-5, sharpening=2.0)
    objective.started(student)
    outputs, target = target_of(student.eval(), 2)
    first = objective(outputs, target).total
    shrunk = [adaptive_max_pool2d(target.maps.confidence_maps, part.shape[2:]) for part in outputs.features]
    assert first.item() == pytest.approx(sum((part**4).mean().item() for part in shrunk) / len(shrunk))
    [nothing] = torch.autograd.grad(first, outputs.features[:1], retain_graph=True)
    assert not nothing.any()  # heads of zeros teach nothing yet
    first.backward(retain_graph=True)
    objective.after_step(student)
    then = objective(outputs, target).total
    assert then < first
    [slope] = torch.autograd.grad(then, outputs.features[:1])
    assert slope.any()
    again = AuxiliaryHeads(learning_rate=1e-5, sharpening=2.0)
    again.started(student)
    again.load_state_dict(copy.deepcopy(objective.state_dict()))
    assert again(outputs, target).total == then


def test_auxiliary_objectives_leave_confidences_to_another() -> None:
    both = WeightedSum({"maps": MapRegression(5.0), "kl": SpatialKl(), "features": FeatureLoss()})
    assert (both.foreground, both.auxiliary, both.reads_features) == (5.0, False, True)
    assert WeightedSum({"c": Consistency(frames=7)}).unlabelled_frames == 7


@pytest.mark.parametrize("kind", [SelfDistillation, DualConsistency, AuxiliaryHeads, lambda: FeatureLoss("average")])
def test_a_resumed_objective_goes_on_exactly(kind: Any) -> None:
    def learner() -> Learner:
        objective = WeightedSum({"maps": MapRegression(), "other": kind()})
        return Learner(small_student(), TrainingOptions(epochs=1, batch_norm="frozen"), objective)

    stream = labelled(6, seed=9).frames
    whole, again = learner(), learner()
    before = copy.deepcopy(whole.student.state_dict())
    whole.learn(labelled(3), 0, sgd(whole.student), stream)
    state, weights = copy.deepcopy((whole.state_dict(), whole.student.state_dict()))
    assert any(not torch.equal(value, before[name]) for name, value in weights.items())
    again.student.load_state_dict(weights)
    again.load_state_dict(state)
    for one in (whole, again):
        one.learn(labelled(3, seed=1), 1, sgd(one.student), stream)
    assert all(torch.equal(v, again.student.state_dict()[name]) for name, v in whole.student.state_dict().items())
