"""A stream in which a second person appears in its second window, met by a student that sees them both."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from callbacks.backward_transfer import BackwardTransfer
from callbacks.prequential import PrequentialEvaluation
from callbacks.strategies.error import Error
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.measurement import Measurement
from pose_oad.online.weights import Span
from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseNetwork
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.windows import choose, make_loop, make_window, record_of

BODY = get_skeleton("body-12")
DOWN, ACROSS = torch.arange(12) // 2, torch.arange(12) % 2
ONE = torch.stack([10.0 + 12 * ACROSS, 6.0 + 10 * DOWN, torch.ones(12)], -1)
TWO = ONE + torch.tensor([30.0, 0.0, 0.0])


class Seer(PoseNetwork, nn.Module):
    """Answers each frame with the maps of the people whose number its first pixel holds; counts its calls."""

    skeleton, input_size, map_size, foreground = BODY, (64, 64), (16, 16), 0.0

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.shift = 0, 0.0

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        self.seen += len(frames)
        people = torch.stack([TWO, ONE]).repeat(len(frames), 1, 1, 1) + torch.tensor([self.shift, 0, 0])
        people[frames[:, 0, 0, 0] < 2, 0] = 0
        maps, fields = encode(people, BODY, input_size=(64, 64), map_size=(16, 16), sigma=0.06)
        return maps, fields


@pytest.fixture
def student() -> Seer:
    return Seer()


def window(index: int, people: int) -> FrameWindow:
    truth = torch.stack([ONE, TWO]).repeat(4, 1, 1, 1)
    truth[:, people:] = 0
    made = make_window(4, index=index, size=64, truth=truth)
    made.frames[:, 0, 0, 0] = people
    return made


def stream() -> list[FrameWindow]:
    return [window(0, 1), window(1, 2), window(2, 1)]


def evaluation(people: Any = "auto", teacher_every: int | None = None) -> PrequentialEvaluation:
    measurement = Measurement(MissingRule(), BODY, TruthTeacher(BODY), teacher_every, people=people)
    return PrequentialEvaluation(measurement, BODY)


def meet(met: PrequentialEvaluation, student: Seer, stream: list[FrameWindow]) -> list[dict[str, float]]:
    figures = []
    for each in stream:
        measured = met.measurement.measure(each, [Span(0, len(each), student)])  # type: ignore[arg-type]
        figures.append(met.window_closed(record_of(each, measured)))
    return figures


def test_people_are_matched_from_the_first_window_on_that_holds_several(student: Seer) -> None:
    met = evaluation()
    assert met.who.startswith("one person")
    assert ["people/AP" in each for each in meet(met, student, stream())] == [False, True, True]
    summary = met.summary()
    assert summary["people/AP"] == pytest.approx(1)
    assert (summary["people/wanted"], summary["people/frames"]) == (12, 8)
    assert summary["people/matched_px"] < 0.5
    assert summary["mpjpe_px"] < 0.5
    assert met.who.startswith("several people")
    assert student.seen == 12  # every frame once, for both ways to read its maps


def test_one_person_is_measured_where_that_is_asked_for(student: Seer) -> None:
    met = evaluation("one")
    meet(met, student, stream())
    assert not any(name.startswith("people") for name in met.summary())
    several = evaluation("many")
    meet(several, student, stream())
    assert several.summary()["people/wanted"] == 16
    with pytest.raises(UserError, match=r"metric.people=two: expected auto | one | many"):
        evaluation("two")


def test_finding_nobody_is_not_rewarded(student: Seer) -> None:
    met, blind = evaluation(), evaluation()
    meet(met, student, [window(0, 2)])
    unseen = window(0, 2)
    unseen.frames[:, 0, 0, 0] = 0  # the student sees one of the two
    meet(blind, student, [unseen])
    assert blind.summary()["people/recall"] == 0.5
    assert blind.summary()["mpjpe_px"] > met.summary()["mpjpe_px"] + 20


def test_a_run_that_goes_on_ends_with_the_same_figures(student: Seer) -> None:
    whole, begun, resumed = evaluation(teacher_every=1), evaluation(teacher_every=1), evaluation(teacher_every=1)
    meet(whole, student, stream())
    meet(begun, student, stream()[:2])
    file = io.BytesIO()
    torch.save([begun.state_dict(), begun.measurement.state_dict()], file)
    file.seek(0)
    for part, state in zip((resumed, resumed.measurement), torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    meet(resumed, student, stream()[2:])
    assert resumed.summary() == whole.summary()
    assert whole.summary()["teacher_distance_px"] < 0.5


def test_the_final_pass_measures_as_the_first_one_did(student: Seer) -> None:
    met = evaluation()
    meet(met, student, stream())
    final = BackwardTransfer(stream, met)
    loop = make_loop()
    loop.weights = SimpleNamespace(newest=lambda: student)  # type: ignore[assignment]
    final.on_train_end(None, OnlineDistillation(loop))  # type: ignore[arg-type]
    assert final.summary()["backward_transfer_px"] == 0.0


def test_error_scores_the_people_whom_the_teacher_finds(student: Seer) -> None:
    wrong = window(0, 2)
    wrong.frames[1, 0, 0, 0] = 0  # in which the student sees one of the two
    choice = choose(Error(undetected_joints="worst"), wrong, 0.25, student=student)
    assert choice.positions.tolist() == [1]
    assert choice.scores is not None
    assert choice.scores[[0, 2, 3]].max() < 0.5
    assert choice.scores[1] == pytest.approx(2**0.5 * 64 / 2, abs=0.5)
    paper = choose(Error(undetected_joints="zero"), wrong, 0.25, student=student)
    assert paper.scores is not None
    assert paper.scores[1] < 0.5


def test_clips_of_one_window_are_measured_at_their_own_scale(student: Seer) -> None:
    truth = torch.stack([ONE, ONE, ONE * torch.tensor([2, 2, 1]), ONE * torch.tensor([2, 2, 1])])[:, None]
    clips = make_window(4, size=64, sizes=((64, 64), (128, 128)), truth=truth)
    segments = (replace(s, metric_scale=scale) for s, scale in zip(clips.segments, (2, 3), strict=True))
    clips = replace(clips, segments=tuple(segments))
    clips.frames[:, 0, 0, 0] = 1
    student.shift = 4.0  # px of the input, half a px of the larger frames
    errors = evaluation().measurement.measure_like(clips, student).errors.per_frame()  # type: ignore[arg-type]
    assert errors.tolist() == pytest.approx([8, 8, 24, 24], abs=0.5)
