from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_oad.cli.command import build, compose_config
from pose_oad.online.batch import NEW, REPLAYED, LabelledBatch
from pose_oad.online.learner import Learner
from pose_oad.online.memory import Fifo, Memory, Mir, Prioritised, ReplayContext, Reservoir, Similar
from pose_oad.online.options import TrainingOptions
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student
from pose_oad.tracking.errors import UserError

BODY = get_skeleton("body-12")
SIDE = 32


def frames(ids: list[int], people: bool = True, known: bool = True) -> LabelledBatch:
    """Frames of one grey each, their number, with a person whose pose turns with the number, or nobody."""
    grey = torch.tensor(ids, dtype=torch.uint8)[:, None, None, None].expand(-1, SIDE, SIDE, 3).contiguous()
    keypoints = torch.zeros(len(ids), 1, 12, 3)
    if people:
        angle = torch.arange(12) * 0.5 + 0.1 * torch.tensor(ids)[:, None]
        joints = torch.stack([16 + 8 * angle.cos(), 16 + 8 * angle.sin(), torch.ones_like(angle)], -1)
        keypoints = joints.unsqueeze(1)
    ones = torch.full((len(ids), 12), known)
    limbs = torch.ones(len(ids), len(BODY.limbs), dtype=torch.bool)
    return LabelledBatch(grey, keypoints, ones, limbs, torch.tensor(ids))


def context(new: LabelledBatch | None = None, **more: Any) -> ReplayContext:
    def none(batch: LabelledBatch) -> Tensor:
        raise AssertionError("no loss was needed")

    values: dict[str, Any] = {"student": None, "loss": none, "losses": none, "learning_rate": 0.1}
    return ReplayContext(frames([0]) if new is None else new, **values | more)


def ids(memory: Fifo) -> list[int]:
    assert memory.kept is not None
    return memory.kept.frame_ids.tolist()


def drawn(memory: Memory, times: int = 2000, n: int = 1, given: ReplayContext | None = None) -> Counter[int]:
    rng = np.random.default_rng(0)
    given = given or context()
    return Counter(int(x) for _ in range(times) for x in memory.sample(n, rng, given).frame_ids)


def test_fifo_keeps_the_newest_and_replays_them_alike() -> None:
    memory = Fifo(frames=4)
    assert len(memory) == 0
    with pytest.raises(ValueError, match="memory"):
        memory._rows(np.zeros(1, dtype=np.int64))
    for window in ([1, 2, 3], [4, 5], [6]):
        memory.add(frames(window))
    assert ids(memory) == [3, 4, 5, 6]
    found = drawn(memory)
    assert set(found) == {3, 4, 5, 6}
    assert max(found.values()) < 1.2 * min(found.values())
    part = memory.sample(4, np.random.default_rng(0), context())
    assert sorted(part.frame_ids.tolist()) == [3, 4, 5, 6]  # none twice as long as there are others
    assert part.origin.tolist() == [REPLAYED] * 4
    assert frames([1]).origin.tolist() == [NEW]
    assert len(memory.sample(9, np.random.default_rng(0), context())) == 9


def test_memory_is_limited_in_mib_too() -> None:
    one = frames([1]).nbytes
    memory = Fifo(frames=None, mib=1.0)
    many = -(-(2**20) // one) + 3
    memory.add(frames(list(range(many % 250)) if many < 250 else list(range(250))))
    for start in range(0, 250, 50):
        memory.add(frames(list(range(start, start + 50))))
    assert memory.kept is not None
    assert 2**20 - 2 * one < memory.kept.nbytes <= 2**20
    assert ids(memory)[-1] == 249


def test_empty_frames_are_kept_up_to_a_share_and_never_alone() -> None:
    memory = Fifo(empty_share=0.25)
    memory.add(frames([1, 2], people=False))
    assert len(memory) == 0
    memory.add(frames([3, 4, 5, 6, 7, 8]))
    memory.add(frames([9, 10, 11], people=False))
    assert ids(memory) == [3, 4, 5, 6, 7, 8, 10, 11]  # 2 of 8
    memory.add(frames([12], known=False))  # of which nothing is known
    assert len(memory) == 8


def test_a_reservoir_is_a_uniform_sample_of_all_so_far() -> None:
    kept: Counter[int] = Counter()
    for seed in range(300):
        memory = Reservoir(frames=5, seed=seed)
        for start in range(0, 20, 4):
            memory.add(frames(list(range(start, start + 4))))
        assert ids(memory) == sorted(ids(memory))
        kept.update(ids(memory))
    assert len(kept) == 20
    assert min(kept.values()) > 45  # 75 on average
    assert max(kept.values()) < 105


def test_prioritised_replays_and_keeps_what_has_a_large_loss() -> None:
    memory = Prioritised(frames=4, alpha=1.0)
    memory.stepped(torch.tensor([1, 2, 3]), torch.tensor([1.0, 2.0, 5.0]))
    memory.add(frames([1, 2, 3, 4]))
    assert memory.marks.tolist() == [1, 2, 5, 5]  # one that was not trained on counts as the worst
    found = drawn(memory, 4000)
    assert found[3] / found[1] == pytest.approx(5, rel=0.25)
    memory.opened(context())
    memory.stepped(torch.tensor([3, 99]), torch.tensor([0.5, 1.0]))
    memory.opened(context())  # the window was undone
    memory.add(frames([], people=True))
    assert memory.marks.tolist() == [1, 2, 5, 5]
    gone: Counter[int] = Counter()
    for seed in range(400):
        memory = Prioritised(frames=2, alpha=1.0, seed=seed)
        memory.stepped(torch.arange(3), torch.tensor([1.0, 1.0, 8.0]))
        memory.add(frames([0, 1, 2]))
        gone.update({0, 1, 2} - set(ids(memory)))
    assert gone[2] < 60 < 140 < gone[0]
    refreshed = Prioritised(frames=3)
    refreshed.stepped(torch.tensor([7]), torch.tensor([3.0]))
    refreshed.add(frames([7]))
    refreshed.opened(context())
    refreshed.stepped(torch.tensor([7, 8]), torch.tensor([1.0, 2.0]))
    refreshed.add(frames([8]))
    assert refreshed.marks.tolist() == [1, 2]


def network() -> PoseStudent:
    torch.manual_seed(0)
    return build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(SIDE, SIDE)))


@pytest.mark.parametrize("by", ["pose", "thumbnail", "features"])
def test_similar_replays_what_resembles_the_new_frames(by: Any) -> None:
    memory = Similar(by=by, temperature=0.05)
    memory.add(frames([0, 10, 20, 30]))
    assert memory.kept is not None
    gradient = torch.arange(SIDE, dtype=torch.uint8) * 8  # a picture must have something to be known by
    for row, turned in enumerate(
        (gradient[:, None], gradient[None], gradient.flip(0)[:, None], gradient.flip(0)[None])
    ):
        memory.kept.frames[row] = turned.expand(SIDE, SIDE)[..., None]
    new = memory.kept.take(torch.tensor([2]))
    given = context(new, student=network().eval())
    memory.opened(given)
    assert drawn(memory, 300, given=given).most_common(1)[0][0] == 20


def test_rare_poses_are_replayed_more_with_balance() -> None:
    poses = frames([1, 1, 1, 1, 1, 30])
    memory = Fifo(balance=1.0)
    memory.add(poses)
    found = drawn(memory)
    assert found[30] > 2.5 * found[1] / 5
    plain = Fifo()
    plain.add(poses)
    assert drawn(plain)[30] == pytest.approx(333, rel=0.2)


class Line(torch.nn.Module):
    """A network of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(1.0))


def test_mir_replays_what_a_step_on_the_new_frames_harms_most() -> None:
    """The step lowers the weight by .5: the loss of frame f, (weight - f)^2, rises most for the largest f."""
    line = Line()

    def losses(batch: LabelledBatch) -> Tensor:
        return (line.weight - batch.frame_ids).square().detach()

    given = context(frames([0]), student=line, loss=lambda batch: 5 * line.weight, losses=losses)
    memory = Mir(candidates=4)
    memory.add(frames([1, 2, 3, 4]))
    part = memory.sample(2, np.random.default_rng(0), given)
    assert part.frame_ids.tolist() == [4, 3]
    assert line.weight.item() == 1.0
    assert line.weight.grad is None


@pytest.mark.parametrize("choice", ["fifo", "all", "reservoir", "prioritised", "mir", "similar"])
def test_a_memory_that_is_taken_on_replays_and_keeps_the_same(choice: str) -> None:
    node = compose_config("online", [f"memory={choice}"]).memory
    whole, again = build(node), build(node)
    whole.frames = again.frames = 6
    again.load_state_dict(whole.state_dict())
    student = network()
    learners = [
        Learner(student, TrainingOptions(epochs=1, batch_size=4, new_share=0.5, batch_norm="frozen"), memory=memory)
        for memory in (whole, again)
    ]
    for window in range(3):
        part = frames([window * 4 + at for at in range(4)])
        learners[0].learn(part, window, lambda loss: None)
        learners[0].keep(part)
    again.load_state_dict(whole.state_dict())
    assert len(whole) == 6
    ends = []
    for learner, memory in zip(learners, (whole, again), strict=True):
        memory.opened(learner._context(frames([50])))
        memory.stepped(torch.tensor([50]), torch.tensor([0.1]))
        memory.add(frames([50]))
        seen = memory.sample(3, np.random.default_rng(1), learner._context(frames([51])))
        ends.append((seen.frame_ids.tolist(), ids(memory)))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "value",
    ["frames=0", "mib=0", "mib=1e9", "frames=10000000", "empty_share=2", "balance=-1", "frames=many", "mib=.nan"],
)
def test_a_refused_limit_is_named(value: str) -> None:
    with pytest.raises(UserError, match=rf"^memory\.{value.partition('=')[0]}=.*expected"):
        build(compose_config("online", ["memory=mir", f"memory.{value}"]).memory)
