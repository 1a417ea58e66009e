"""The frozen student beside the adapting one, on windows of ten frames at 10 frames/s."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from callbacks.frozen_twin import FrozenTwin
from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.learner import TrainingOptions
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student
from pose_oad.students.keypoints import Poses
from pose_oad.teachers.truth import TruthTeacher
from tests.windows import make_window

BODY = get_skeleton("body-12")


@pytest.fixture
def module() -> OnlineDistillation:
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    return OnlineDistillation.of(student, TruthTeacher(BODY), TrainingOptions())


@pytest.fixture
def evaluation() -> PrequentialEvaluation:
    return PrequentialEvaluation(MissingRule(), BODY, TruthTeacher(BODY), teacher_every=None)


def moved(truth: torch.Tensor, px: float) -> torch.Tensor:
    return truth[:, 0] + torch.tensor([px, 0.0, 0.0])


def play(
    twin: FrozenTwin, module: OnlineDistillation, index: int, adapted: list[float], frozen: list[float], *names: str
) -> FrameWindow:
    """Meet a window of two clips in which both students are off by so many px in each frame."""
    window = make_window(10, index=index, sizes=((64, 64), (64, 64)))
    window.segments = tuple(
        replace(segment, clip=name, labels={"subject": name[0], "action": name[1:]})
        for segment, name in zip(window.segments, names, strict=True)
    )
    truth = reveal(window)
    rows = [torch.stack([moved(truth[i : i + 1], px)[0] for i, px in enumerate(off)]) for off in (adapted, frozen)]
    evaluation, twin._student = twin.evaluation, module.student
    evaluation._predict = lambda *_: (rows.pop(0), None)  # type: ignore[method-assign]
    measured = evaluation.measure(window, module.student)
    evaluation.frame_ids.append(measured.ids)
    evaluation.frame_errors.append(measured.frame_errors)
    evaluation.frame_joints.append(measured.frame_joints)
    adapting, module.optimizer_steps = window.predictions, 1
    twin.on_train_batch_start(None, module, window, index)  # type: ignore[arg-type]
    assert window.predictions is adapting
    return window


def test_the_gain_is_the_difference_on_the_same_frames(
    module: OnlineDistillation, evaluation: PrequentialEvaluation
) -> None:
    twin = FrozenTwin(evaluation, rate_hz=10, span_s=0.2)
    # The second clip is easier for both: an error that falls with it is no gain.
    first = play(twin, module, 0, [40] * 5 + [20] * 5, [40] * 5 + [20] * 5, "AWalk", "AEat")
    second = play(twin, module, 1, [10, 10, 10, 5, 5, 25, 25, 15, 15, 15], [20] * 5 + [30] * 5, "AEat", "BEat")
    assert first.metrics["frozen_mpjpe_px"] == pytest.approx(30)
    assert second.metrics["frozen_mpjpe_px"] == pytest.approx(25)
    summary = twin.summary()
    assert summary["frozen_mpjpe_px"] == pytest.approx(27.5)
    assert summary["gain_px"] == pytest.approx(27.5 - (300 + 135) / 20, rel=1e-5)
    assert summary["gain_second_half_px"] == pytest.approx(25 - 13.5, rel=1e-5)
    # At the change to Eat nothing is learnt yet; at that to B the gain falls from 15 to 5 px.
    assert summary["gain_before_change_px"] == pytest.approx((0 + 15) / 2, rel=1e-5)
    assert summary["gain_after_change_px"] == pytest.approx((0 + 5) / 2, rel=1e-5)
    assert summary["gain_before_change_px/subject"] == pytest.approx(15, rel=1e-5)
    assert summary["gain_after_change_px/action"] == pytest.approx(0, abs=1e-4)


def test_a_student_that_never_learns_gains_nothing_however_its_clips_follow(
    module: OnlineDistillation, evaluation: PrequentialEvaluation
) -> None:
    twin = FrozenTwin(evaluation, rate_hz=10)
    errors = [10.0] * 5 + [80, 60, 40, 20, 10]
    play(twin, module, 0, errors, errors, "AWalk", "BEat")
    summary = twin.summary()
    assert summary["gain_px"] == summary["gain_before_change_px"] == summary["gain_after_change_px"] == 0


def test_a_stream_of_one_clip_has_no_change(module: OnlineDistillation, evaluation: PrequentialEvaluation) -> None:
    twin = FrozenTwin(evaluation, rate_hz=10)
    for index in range(2):
        play(twin, module, index, [5.0] * 10, [6.0] * 10, "AWalk", "AWalk")
    summary = twin.summary()
    assert summary["gain_px"] == pytest.approx(1, rel=1e-4)
    assert all(math.isnan(value) for name, value in summary.items() if "change" in name)


def test_the_twin_keeps_the_first_weights_and_goes_on_from_its_state(
    module: OnlineDistillation, evaluation: PrequentialEvaluation
) -> None:
    def look(twin: FrozenTwin, index: int) -> FrameWindow:
        window = make_window(4, index=index)
        evaluation.on_train_batch_start(None, module, window, index)  # type: ignore[arg-type]
        twin.on_train_batch_start(None, module, window, index)  # type: ignore[arg-type]
        return window

    evaluation.on_fit_start(None, module)  # type: ignore[arg-type]
    twin, again = FrozenTwin(evaluation, rate_hz=10), FrozenTwin(evaluation, rate_hz=10)
    for each in (twin, again):
        each.on_fit_start(None, module)  # type: ignore[arg-type]
    window = look(twin, 0)
    assert np.array_equal(twin._errors[0], evaluation.frame_errors[0])
    expected = module.student.keypoints(make_window(4, index=1).frames)
    with torch.no_grad():
        for weight in module.student.head.parameters():
            weight.add_(torch.randn_like(weight))
    module.optimizer_steps = 1
    again.load_state_dict(twin.state_dict())
    window = look(again, 1)
    off = (window.to_frame(expected.single) - reveal(window)[:, 0])[..., :2].norm(dim=-1).mean(1)
    assert again._errors[1] == pytest.approx(off.numpy(), rel=1e-5)
    assert not np.allclose(again._errors[1], evaluation.frame_errors[1])
    assert len(twin._errors) == 1


def test_only_frames_that_are_measured_are_predicted(
    module: OnlineDistillation, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = PrequentialEvaluation(MissingRule(), None, TruthTeacher(BODY), teacher_every=3)
    evaluation.on_fit_start(None, module)  # type: ignore[arg-type]
    twin = FrozenTwin(evaluation, rate_hz=10)
    twin.on_fit_start(None, module)  # type: ignore[arg-type]
    module.optimizer_steps = 1
    window = make_window(7, sizes=((64, 64), (32, 64)))
    evaluation.on_train_batch_start(None, module, window, 0)  # type: ignore[arg-type]
    seen: list[int] = []

    keypoints = PoseStudent.keypoints

    def count(student: PoseStudent, frames: torch.Tensor, *rest: object) -> Poses:
        seen.append(len(frames))
        return keypoints(student, frames, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PoseStudent, "keypoints", count)
    twin.on_train_batch_start(None, module, window, 0)  # type: ignore[arg-type]
    assert seen == [3]
    assert twin._errors[0] == pytest.approx(evaluation.frame_errors[0], rel=1e-3)
    assert evaluation.label_service.calls == 3
    assert twin.summary()["gain_px"] == pytest.approx(0, abs=1e-2)
