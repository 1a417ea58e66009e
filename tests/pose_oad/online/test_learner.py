from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_oad.online.augmentation import RandomViews
from pose_oad.online.averaging import WeightAverage
from pose_oad.online.batch import NEW, REPLAYED, SOURCE, LabelledBatch, join
from pose_oad.online.learner import Learner
from pose_oad.online.memory import Fifo, Memory, NoMemory, ReplayContext, Reservoir
from pose_oad.online.objectives import Loss, MapOutputs, MapRegression, Objective, TrainingTarget, WeightedSum
from pose_oad.online.options import TrainingOptions
from pose_oad.online.regularisers import Regulariser
from pose_oad.poses.maps import MapTargets
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student

BODY = get_skeleton("body-12")


def student() -> PoseStudent:
    torch.manual_seed(0)
    return build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))


def batch(ids: list[int], people: int = 1) -> LabelledBatch:
    """Frames whose every pixel is their number."""
    frames = torch.tensor(ids, dtype=torch.uint8)[:, None, None, None].expand(-1, 32, 32, 3).contiguous()
    known, limbs = torch.ones(len(ids), 12, dtype=torch.bool), torch.ones(len(ids), len(BODY.limbs), dtype=torch.bool)
    return LabelledBatch(frames, torch.full((len(ids), people, 12, 3), 9.0), known, limbs, torch.tensor(ids))


class Everything(Memory):
    """All frames so far; draws the oldest."""

    def __init__(self) -> None:
        self.kept: list[LabelledBatch] = []

    def __len__(self) -> int:
        return sum(map(len, self.kept))

    def add(self, batch: LabelledBatch) -> None:
        self.kept.append(batch)

    def sample(self, n: int, rng: np.random.Generator, context: ReplayContext) -> LabelledBatch:
        return join(self.kept).take(torch.arange(n))


class Noting(Regulariser):
    """Notes which frames each step sees; adds a constant."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.steps = self.windows = 0

    def penalty(self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None) -> Tensor:
        self.seen.append(batch.frame_ids.tolist())
        return next(student.parameters()).sum() * 0 + 100

    def after_step(self, student: PoseStudent) -> None:
        self.steps += 1

    def window_closed(self, student: PoseStudent) -> None:
        self.windows += 1


def step(network: PoseStudent) -> Any:
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)

    def optimise(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return optimise


def test_a_memory_fills_what_new_frames_leave_of_a_batch() -> None:
    network, memory, noting = student(), Everything(), Noting()
    options = TrainingOptions(epochs=1, batch_size=4, new_share=0.5)
    learner = Learner(network, options, memory=memory, regulariser=noting)
    assert learner.learn(batch([1, 2, 3, 4]), 0, step(network)).steps == 1  # nothing to replay yet: whole batches
    assert not len(memory)
    learner.keep(batch([1, 2, 3, 4]))
    learnt = learner.learn(batch([5, 6, 7, 8]), 1, step(network))
    assert [sorted(seen) for seen in noting.seen[:1]] == [[1, 2, 3, 4]]
    assert sorted(seen for part in noting.seen[1:] for seen in part[:2]) == [5, 6, 7, 8]
    assert [part[2:] for part in noting.seen[1:]] == [[1, 2]] * 2
    assert all(len(part) == 4 for part in noting.seen)
    assert (noting.steps, noting.windows, learnt.steps) == (3, 2, 2)
    assert learnt.loss > 200


class Annotated:
    """Source frames, all of number -1."""

    def sample(self, n: int, rng: np.random.Generator) -> LabelledBatch:
        return batch([255] * n).from_origin(SOURCE)


def test_a_batch_has_its_shares_of_new_replayed_and_source_frames_in_every_step() -> None:
    network, origins = student(), []

    class Looking(Regulariser):
        def penalty(
            self, student: PoseStudent, batch: LabelledBatch, unlabelled: Tensor | None = None
        ) -> Tensor | None:
            origins.append(batch.origin.tolist())
            return None

    options = TrainingOptions(
        unit="steps", steps=5, batch_size=8, new_share=0.5, source_share=0.25, batch_norm="frozen"
    )
    learner = Learner(network, options, memory=Fifo(), regulariser=Looking(), source=Annotated())
    learner.learn(batch([1, 2, 3]), 0, step(network))
    assert origins == [[NEW] * 6 + [SOURCE] * 2] * 5
    learner.keep(batch([1, 2, 3]))
    origins.clear()
    learner.learn(batch([4]), 1, step(network))  # one label: it comes again rather than drown
    assert origins == [[NEW] * 3 + [REPLAYED] * 3 + [SOURCE] * 2] * 5


def test_empty_frames_are_never_alone_in_a_batch() -> None:
    network, noting = student(), Noting()
    new = batch([1, 2, 3, 4, 5, 6])
    new.keypoints[1:] = 0  # somebody in the first only
    options = TrainingOptions(epochs=1, batch_size=4, people_share=0.5, batch_norm="frozen")
    Learner(network, options, regulariser=noting).learn(new, 0, step(network))
    assert [len(seen) for seen in noting.seen] == [4, 2]
    assert all(seen.count(1) >= len(seen) / 2 for seen in noting.seen)
    noting.seen.clear()
    Learner(network, replace(options, people_share=0.0), regulariser=noting).learn(new, 0, step(network))
    assert sorted(number for seen in noting.seen for number in seen) == [1, 2, 3, 4, 5, 6]


def test_what_is_copied_before_a_window_holds_no_frames() -> None:
    memory = Fifo()
    learner = Learner(student(), TrainingOptions(), memory=memory)
    learner.keep(batch([1, 2]))
    before = learner.before_window()
    assert before.keys() == {"regulariser", "objective", "average"}
    learner.undo(before)
    assert len(memory) == 2


def test_a_learner_that_is_taken_on_ends_with_the_same_weights() -> None:
    """With everything that draws: order, memory, views, source frames, labels held back."""
    options = TrainingOptions(
        unit="steps", steps=4, batch_size=6, new_share=0.5, source_share=0.2, hold_out=0.4, check_every=2,
        batch_norm="frozen",
    )  # fmt: skip
    views = RandomViews(BODY, rotation=0.3, scale=(0.7, 1.4), mirror=0.5, brightness=0.2, boxes=2, box_size=0.3)

    def learner() -> Learner:
        parts = {"memory": Reservoir(frames=5), "augment": views, "source": Annotated()}
        return Learner(student(), options, **parts)  # type: ignore[arg-type]

    def learn(at: Learner, window: int) -> None:
        new = batch([window * 4 + number for number in range(4)])
        at.learn(new, window, step(at.student))
        at.keep(new)

    whole, again = learner(), learner()
    learn(whole, 0)
    learn(whole, 1)
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    again.student.load_state_dict(whole.student.state_dict())
    for at in (whole, again):
        learn(at, 2)
    ends = [at.student.state_dict() for at in (whole, again)]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_the_average_says_who_predicts() -> None:
    class First(WeightAverage):
        """The weights of before the stream."""

        def __init__(self, network: PoseStudent) -> None:
            self.network = network

        def serving(self, student: PoseStudent) -> PoseStudent:
            return self.network

    network, before = student(), student()
    learner = Learner(network, TrainingOptions(epochs=1), average=First(before))
    learner.learn(batch([1, 2]), 0, step(network))
    assert learner.average.serving(network) is before
    assert Learner(network, TrainingOptions()).average.serving(network) is network


def test_the_state_holds_that_of_every_stage() -> None:
    class Counting(Regulariser):
        count = 0

        def after_step(self, student: PoseStudent) -> None:
            self.count += 1

        def state_dict(self) -> dict[str, Any]:
            return {"count": self.count}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.count = state["count"]

    network, counting, again = student(), Counting(), Counting()
    learner = Learner(network, TrainingOptions(epochs=3, batch_norm="frozen"), regulariser=counting)
    learner.learn(batch([1]), 0, step(network))
    Learner(network, TrainingOptions(), regulariser=again).load_state_dict(learner.state_dict())
    assert again.count == 3


def test_batches_of_different_numbers_of_people_are_joined() -> None:
    whole = join([batch([1], people=1), batch([2, 3], people=3)])
    assert whole.keypoints.shape == (3, 3, 12, 3)
    assert not whole.keypoints[0, 1:].any()
    assert whole.frame_ids.tolist() == [1, 2, 3]
    assert whole.weight is None
    assert whole.take(torch.tensor([2, 0])).frame_ids.tolist() == [3, 1]


def test_no_memory_has_nothing_to_replay() -> None:
    memory = NoMemory()
    memory.add(batch([1]))
    assert len(memory) == 0
    with pytest.raises(ValueError, match="memory"):
        memory.sample(1, np.random.default_rng(0), None)  # type: ignore[arg-type]


def target(weight: Tensor | None = None) -> tuple[MapOutputs, TrainingTarget]:
    outputs = MapOutputs(torch.ones(2, 12, 2, 2), torch.zeros(2, len(BODY.limbs), 2, 2, 2))
    outputs.confidence_maps[1] = 3
    maps = MapTargets(torch.zeros(2, 12, 2, 2), torch.zeros(2, len(BODY.limbs), 2, 2, 2))
    return outputs, TrainingTarget(maps, BODY, torch.ones(2, 12, dtype=torch.bool), weight=weight)


def test_frames_count_by_their_weight() -> None:
    assert MapRegression()(*target()).total.item() == (1 + 9) / 2
    assert MapRegression()(*target(torch.tensor([3.0, 1.0]))).total.item() == (3 * 1 + 9) / 4


def test_a_sum_of_objectives_is_an_objective() -> None:
    class Half(Objective):
        foreground = 0.0

        def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
            return Loss(outputs.confidence_maps.mean() / 2)

    both = WeightedSum({"maps": MapRegression(), "half": Half()}, {"half": 10.0})
    loss = both(*target())
    assert {name: part.item() for name, part in loss.parts.items()} == {"maps": 5.0, "half": 10.0}
    assert loss.total.item() == 15.0
    for options in ({"weights": {"third": 1.0}}, {"objectives": {}}):
        with pytest.raises(ValueError, match="weights"):
            WeightedSum(**{"objectives": {"maps": MapRegression()}, **options})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="foreground"):
        WeightedSum({"a": MapRegression(1.0), "b": MapRegression(2.0)})
