"""A stream in which a second person appears in its second window, met by a student that sees them both."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from callbacks.backward_transfer import BackwardTransfer
from callbacks.prequential import PrequentialEvaluation
from callbacks.strategies.error import Error
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.label_service import LabelService
from pose_oad.online.learner import TrainingOptions
from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseNetwork, StudentConfig, build_student
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.windows import make_window

BODY = get_skeleton("body-12")
DOWN, ACROSS = torch.arange(12) // 2, torch.arange(12) % 2
ONE = torch.stack([10.0 + 12 * ACROSS, 6.0 + 10 * DOWN, torch.ones(12)], -1)
TWO = ONE + torch.tensor([30.0, 0.0, 0.0])


class Seer(PoseNetwork, nn.Module):
    """Answers each frame with the maps of the people whose number its first pixel holds; counts its calls."""

    skeleton, input_size, map_size, foreground = BODY, (64, 64), (16, 16), 0.0

    def __init__(self, module: OnlineDistillation) -> None:
        super().__init__()
        self.scale, self.seen, self.shift = module.student.scale, 0, 0.0

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        self.seen += len(frames)
        people = torch.stack([TWO, ONE]).repeat(len(frames), 1, 1, 1) + torch.tensor([self.shift, 0, 0])
        people[frames[:, 0, 0, 0] < 2, 0] = 0
        maps, fields = encode(people, BODY, input_size=(64, 64), map_size=(16, 16), sigma=0.06)
        return maps, fields


@pytest.fixture
def module() -> OnlineDistillation:
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(64, 64)))
    module = OnlineDistillation.of(student, TruthTeacher(BODY), TrainingOptions())
    module.student = Seer(module)  # type: ignore[assignment]
    return module


def window(index: int, people: int) -> FrameWindow:
    truth = torch.stack([ONE, TWO]).repeat(4, 1, 1, 1)
    truth[:, people:] = 0
    made = make_window(4, index=index, size=64, truth=truth)
    made.frames[:, 0, 0, 0] = people
    made.label_service = LabelService(TruthTeacher(BODY))
    return made


def stream() -> list[FrameWindow]:
    return [window(0, 1), window(1, 2), window(2, 1)]


def evaluation(people: Any = "auto", teacher_every: int | None = None) -> PrequentialEvaluation:
    return PrequentialEvaluation(MissingRule(), BODY, TruthTeacher(BODY), teacher_every, people=people)


def meet(met: PrequentialEvaluation, module: OnlineDistillation, windows: list[FrameWindow]) -> None:
    for index, each in enumerate(windows):
        met.on_train_batch_start(None, module, each, index)  # type: ignore[arg-type]


def test_people_are_matched_from_the_first_window_on_that_holds_several(module: OnlineDistillation) -> None:
    met, windows = evaluation(), stream()
    met.on_fit_start(None, module)  # type: ignore[arg-type]
    assert met.who.startswith("one person")
    meet(met, module, windows)
    assert ["people/AP" in each.metrics for each in windows] == [False, True, True]
    summary = met.summary()
    assert summary["people/AP"] == pytest.approx(1)
    assert (summary["people/wanted"], summary["people/frames"]) == (12, 8)
    assert summary["people/matched_px"] < 0.5
    assert summary["mpjpe_px"] < 0.5
    assert met.who.startswith("several people")
    assert module.student.seen == 12  # type: ignore[attr-defined]  # every frame once, for both ways to read its maps


def test_one_person_is_measured_where_that_is_asked_for(module: OnlineDistillation) -> None:
    met = evaluation("one")
    met.on_fit_start(None, module)  # type: ignore[arg-type]
    meet(met, module, stream())
    assert not any(name.startswith("people") for name in met.summary())
    several = evaluation("many")
    several.on_fit_start(None, module)  # type: ignore[arg-type]
    meet(several, module, stream())
    assert several.summary()["people/wanted"] == 16
    with pytest.raises(UserError, match=r"metric.people=two: expected auto | one | many"):
        evaluation("two")


def test_finding_nobody_is_not_rewarded(module: OnlineDistillation) -> None:
    met, blind = evaluation(), evaluation()
    for each in (met, blind):
        each.on_fit_start(None, module)  # type: ignore[arg-type]
    meet(met, module, [window(0, 2)])
    unseen = window(0, 2)
    unseen.frames[:, 0, 0, 0] = 0  # the student sees one of the two
    meet(blind, module, [unseen])
    assert blind.summary()["people/recall"] == 0.5
    assert blind.summary()["mpjpe_px"] > met.summary()["mpjpe_px"] + 20


def test_a_run_that_goes_on_ends_with_the_same_figures(module: OnlineDistillation) -> None:
    whole, begun, resumed = evaluation(teacher_every=1), evaluation(teacher_every=1), evaluation(teacher_every=1)
    for each in (whole, begun, resumed):
        each.on_fit_start(None, module)  # type: ignore[arg-type]
    meet(whole, module, stream())
    meet(begun, module, stream()[:2])
    file = io.BytesIO()
    torch.save(begun.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    meet(resumed, module, stream()[2:])
    assert resumed.summary() == whole.summary()
    assert whole.summary()["teacher_distance_px"] < 0.5


def test_the_final_pass_measures_as_the_first_one_did(module: OnlineDistillation) -> None:
    met = evaluation()
    met.on_fit_start(None, module)  # type: ignore[arg-type]
    meet(met, module, stream())
    final = BackwardTransfer(stream, met)
    final.on_train_end(None, module)  # type: ignore[arg-type]
    assert final.summary()["backward_transfer_px"] == 0.0


def test_error_scores_the_people_whom_the_teacher_finds(module: OnlineDistillation) -> None:
    wrong = window(0, 2)
    wrong.frames[1, 0, 0, 0] = 0  # in which the student sees one of the two
    strategy = Error(rate=0.25, undetected_joints="worst")
    chosen = strategy.choose(wrong, module.student)
    assert chosen.tolist() == [1]
    assert wrong.scores is not None
    assert wrong.scores[[0, 2, 3]].max() < 0.5
    assert wrong.scores[1] == pytest.approx(2**0.5 * 64 / 2, abs=0.5)
    Error(rate=0.25, undetected_joints="zero").choose(wrong, module.student)
    assert wrong.scores[1] < 0.5


def test_clips_of_one_window_are_measured_at_their_own_scale(module: OnlineDistillation) -> None:
    truth = torch.stack([ONE, ONE, ONE * torch.tensor([2, 2, 1]), ONE * torch.tensor([2, 2, 1])])[:, None]
    clips = make_window(4, size=64, sizes=((64, 64), (128, 128)), truth=truth)
    clips.segments = tuple(replace(s, metric_scale=scale) for s, scale in zip(clips.segments, (2, 3), strict=True))
    clips.frames[:, 0, 0, 0] = 1
    module.student.shift = 4.0  # type: ignore[attr-defined]  # px of the input, half a px of the larger frames
    errors = evaluation().measure(clips, module.student).errors.per_frame()
    assert errors.tolist() == pytest.approx([8, 8, 24, 24], abs=0.5)
