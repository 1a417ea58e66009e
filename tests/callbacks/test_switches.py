"""Every flaw of the published protocol is a switch; its two settings differ as predicted, each on a hand-made window.

======================  =========================================================================================
switch                  where it is tested
======================  =========================================================================================
metric.undetected_joints
                        tests/pose_oad/metrics/test_keypoints.py::test_missing_joint_policies (exact values)
strategy.undetected_joints
                        test_the_papers_rule_steers_away_from_the_frame_in_which_nothing_is_found, here; the scores
                        themselves in tests/callbacks/strategies/test_scored.py
strategy.scorer         test_frozen_scores_do_not_follow_the_adaptation, here
strategy.min_gap        test_a_gap_avoids_near_duplicates_at_the_same_budget, here; where it must yield to the budget in
                        tests/callbacks/strategies/test_base.py
strategy.reduce         test_each_reduction_over_joints_chooses_another_frame, here
training.unit         test_steps_grow_with_the_labels_under_epochs_only, here
training.optimizer_state  test_the_optimiser_starts_afresh_or_remembers, here
training.batch_norm     test_batch_statistics_are_updated_or_kept, here
training.labels         test_targets_are_rendered_keypoints_or_the_teachers_maps, here
======================  =========================================================================================
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from callbacks.strategies.base import QueryStrategy
from callbacks.strategies.confidence import Confidence
from callbacks.strategies.error import Error
from pose_oad.metrics.stream import redundancy
from pose_oad.online.objectives import map_regression
from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import MapTargets
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseNetwork
from pose_oad.teachers.base import Labels, TeacherRequest
from tests import windows
from tests.windows import make_window

BODY = get_skeleton("body-12")


class Brightness(PoseNetwork, torch.nn.Module):
    """A student that is as sure of every joint as a frame is bright, or, once ``adapted``, as it is dark."""

    skeleton, input_size, map_size, foreground = BODY, (32, 32), (8, 8), 0.0
    config = SimpleNamespace(to_dict=dict, foreground=0.0)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("adapted", torch.tensor(0.0))

    def normalise(self, frames: Tensor) -> Tensor:
        return frames.float().mean((1, 2, 3)) / 255

    def maps(self, frames: Tensor) -> tuple[Tensor, None]:
        return self(self.normalise(frames))

    def forward(self, brightness: Tensor) -> tuple[Tensor, None]:
        sure = brightness + self.adapted * (1 - 2 * brightness)
        return sure.view(-1, 1, 1, 1).expand(-1, 12, 8, 8).contiguous(), None


class MapTeacher:
    """Label every frame with one person at (16, 16) px, and with maps of its own that are 0.4 everywhere."""

    name = "maps"
    skeleton = BODY
    uses_truth = False

    def image_size(self, frame_size: tuple[int, int]) -> None:
        return None

    def label(self, request: TeacherRequest) -> Labels:
        frames = len(request.ids)
        keypoints = torch.tensor([16.0, 16.0, 1.0]).expand(frames, 1, 12, 3).clone()
        maps = torch.full((frames, 12, 8, 8), 0.4)
        return Labels(keypoints, maps, torch.zeros(frames, len(BODY.limbs), 2, 8, 8))


Scene = tuple[FrameWindow, Tensor]


def choose(strategy: QueryStrategy, scene: Scene, rate: float) -> list[int]:
    return windows.choose(strategy, scene[0], rate, scene[1]).positions.tolist()


def window_of(confidence: list[list[float]], errors: list[float] | None = None) -> Scene:
    """Return a window, and predictions of given confidences, shape (frames, 1 or 12), and errors, px."""
    frames = len(confidence)
    truth = torch.full((frames, 1, 12, 3), 30.0)
    truth[..., 2] = 1.0
    predictions = truth[:, 0].clone()
    predictions[..., 2] = torch.tensor(confidence)
    predictions[..., 0] += torch.tensor(errors or [0.0] * frames)[:, None]
    return make_window(frames, truth=truth), predictions


@pytest.mark.parametrize("strategy", [Error, Confidence])
def test_the_papers_rule_steers_away_from_the_frame_in_which_nothing_is_found(strategy: type) -> None:
    """The student is lost in frame 1, 25 px off and unsure in frame 2, and right and sure in frames 0 and 3."""
    scene = window_of([[0.9], [0.01], [0.5], [0.8]], errors=[0.0, 50.0, 25.0, 1.0])
    paper, worst = ({"undetected_joints": rule, "scorer": "live"} for rule in ("zero", "worst"))
    assert choose(strategy(**paper), scene, 0.25) == [2]
    assert choose(strategy(**paper), scene, 0.75) == [0, 2, 3]  # whatever the budget, short of everything
    assert choose(strategy(**worst), scene, 0.25) == [1]
    assert choose(strategy(**worst), scene, 0.5) == [1, 2]


def test_frozen_scores_do_not_follow_the_adaptation() -> None:
    student, window = Brightness(), make_window(4)
    window.frames[:] = torch.tensor([60, 200, 30, 120], dtype=torch.uint8).view(4, 1, 1, 1)
    frozen, live = (Confidence(scorer=scorer) for scorer in ("frozen", "live"))
    frozen._frozen = copy.deepcopy(student)  # type: ignore[assignment]
    student.adapted.fill_(1.0)
    predictions = window.to_frame(student.keypoints(window.frames).single)
    chosen = [windows.choose(each, window, 0.25, predictions, student).positions.tolist() for each in (frozen, live)]
    assert chosen == [[2], [1]]


@pytest.mark.parametrize("strategy", [Error, Confidence])
def test_a_gap_avoids_near_duplicates_at_the_same_budget(strategy: type) -> None:
    """Two humps of error and doubt around frames 5 and 14, the first higher."""
    hump = np.maximum(9 - 2 * np.abs(np.arange(20) - 5), 6 - 2 * np.abs(np.arange(20) - 14)).clip(0)
    scene = window_of([[0.9 - 0.05 * h] for h in hump], errors=hump.tolist())
    near = choose(strategy(scorer="live"), scene, 0.15)
    apart = choose(strategy(scorer="live", min_gap=5), scene, 0.15)
    assert near == [4, 5, 6]
    assert redundancy(np.array(near), 4) == 1.0
    assert {5, 14} < set(apart)
    assert redundancy(np.array(apart), 4) == 0.0
    assert len(near) == len(apart) == 3


def test_each_reduction_over_joints_chooses_another_frame() -> None:
    """Frame 0 has the least sure joint, frame 1 is the least sure on average, frame 2 has the least sure best joint."""
    scene = window_of([[0.2] + [0.9] * 11, [0.95] + [0.3] * 11, [0.5] * 12])
    chosen = {
        reduce: choose(Confidence(scorer="live", reduce=reduce), scene, 0.34)  # type: ignore[arg-type]
        for reduce in ("min", "mean", "max")
    }
    assert chosen == {"min": [0], "mean": [1], "max": [2]}


def test_steps_grow_with_the_labels_under_epochs_only() -> None:
    """Two passes over 3, 6 and 12 frames in batches of 3, or 5 steps each."""
    steps = {}
    for unit in ("epochs", "steps"):
        loop = windows.make_loop(unit=unit, epochs=2, steps=5, batch_size=3)
        records = windows.play(loop, *(make_window(frames) for frames in (3, 6, 12)))
        steps[unit] = [record.training.steps for record in records]
        assert [record.counts["teacher_calls"] for record in records] == [3, 6, 12]
    assert steps == {"epochs": [2, 4, 8], "steps": [5, 5, 5]}


@pytest.mark.parametrize(("state", "remembered"), [("fresh", 3), ("kept", 2 + 3)])
def test_the_optimiser_starts_afresh_or_remembers(state: str, remembered: int) -> None:
    """Two steps on the first window, three on the second: how many Adam's moments have seen."""
    loop = windows.make_loop(optimizer_state=state, epochs=1, batch_size=2)
    steps = windows.Steps(loop)
    for index, frames in enumerate((4, 6)):
        loop.play(make_window(frames, index=index), steps)
    assert {int(entry["step"]) for entry in steps.optimizer.state.values()} == {remembered}


@pytest.mark.parametrize(("mode", "changes"), [("train", True), ("frozen", False)])
def test_batch_statistics_are_updated_or_kept(mode: str, changes: bool) -> None:
    loop = windows.make_loop(batch_norm=mode, epochs=1)
    student = loop.learner.student
    before = {name: value.clone() for name, value in student.named_buffers() if "running" in name}
    windows.play(loop, make_window(4))
    after = dict(student.named_buffers())
    assert before
    assert {not torch.equal(value, after[name]) for name, value in before.items()} == {changes}


def test_targets_are_rendered_keypoints_or_the_teachers_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    targets: dict[str, MapTargets] = {}
    loss = map_regression.map_loss
    for labels in ("keypoints", "maps"):

        def record(
            maps: Tensor, fields: Tensor, target: MapTargets, *more: Any, to: str = labels, **options: Any
        ) -> Any:
            targets[to] = target
            return loss(maps, fields, target, *more, **options)

        monkeypatch.setattr(map_regression, "map_loss", record)
        windows.play(windows.make_loop(teacher=MapTeacher(), labels=labels, epochs=1), make_window(2))
    # Frame px (16, 16) of 64 are cell (2, 2) of 8, between four cells of which none is further than the others.
    rendered = targets["keypoints"].confidence_maps[0, 0]
    assert rendered[1:3, 1:3].min() == rendered.max() > 0
    assert rendered[4:, 4:].max() == 0
    assert torch.allclose(targets["maps"].confidence_maps, torch.tensor(0.4))
