"""The final pass over a stream of three windows of four frames, after the weights have changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from callbacks.backward_transfer import BackwardTransfer
from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.learner import TrainingOptions
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import StudentConfig, build_student
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.windows import make_window

BODY = get_skeleton("body-12")


@pytest.fixture
def module() -> OnlineDistillation:
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    return OnlineDistillation.of(student, TruthTeacher(BODY), TrainingOptions())


def windows() -> list[FrameWindow]:
    return [make_window(4, index=index) for index in range(3)]


def meet(evaluation: PrequentialEvaluation, module: OnlineDistillation, stream: list[FrameWindow]) -> None:
    evaluation.on_fit_start(None, module)  # type: ignore[arg-type]
    for index, window in enumerate(stream):
        evaluation.on_train_batch_start(None, module, window, index)  # type: ignore[arg-type]


def disturb(module: OnlineDistillation) -> None:
    with torch.no_grad():
        for weight in module.student.head.parameters():
            weight.add_(0.3 * torch.randn_like(weight))


def test_the_final_student_is_measured_on_the_windows_it_has_met(module: OnlineDistillation) -> None:
    evaluation = PrequentialEvaluation(MissingRule("argmax"), BODY, TruthTeacher(BODY), teacher_every=None)
    meet(evaluation, module, windows()[:2])
    disturb(module)
    weights = {key: value.clone() for key, value in module.student.state_dict().items()}
    final_pass = BackwardTransfer(windows, evaluation)
    final_pass.on_train_end(None, module)  # type: ignore[arg-type]

    expected = []
    for window in windows()[:2]:  # the third was never met
        predicted = window.to_frame(module.student.keypoints(window.frames).single)
        expected.append((predicted - reveal(window)[:, 0])[..., :2].norm(dim=-1).mean(1).numpy())
    final, met = np.concatenate(expected), np.concatenate(evaluation.frame_errors)
    assert final_pass.summary() == {
        "backward_mpjpe_px": pytest.approx(final.mean(), rel=1e-5),
        "backward_transfer_px": pytest.approx(float((met - final).mean()), rel=1e-4),
    }
    assert abs(final_pass.summary()["backward_transfer_px"]) > 0.1
    assert len(evaluation.frame_ids) == 2
    assert all(torch.equal(weights[key], value) for key, value in module.student.state_dict().items())


def test_weights_that_have_not_changed_transfer_nothing(module: OnlineDistillation) -> None:
    evaluation = PrequentialEvaluation(MissingRule("argmax"), BODY, TruthTeacher(BODY), teacher_every=None)
    meet(evaluation, module, windows())
    final_pass = BackwardTransfer(windows, evaluation)
    final_pass.on_train_end(None, module)  # type: ignore[arg-type]
    assert final_pass.summary()["backward_transfer_px"] == 0.0


def test_without_a_truth_the_teacher_is_asked_again_for_evaluation(module: OnlineDistillation) -> None:
    evaluation = PrequentialEvaluation(MissingRule("argmax"), None, TruthTeacher(BODY), teacher_every=2)
    meet(evaluation, module, windows())
    assert evaluation.label_service.calls == 6
    final_pass = BackwardTransfer(windows, evaluation)
    final_pass.on_train_end(None, module)  # type: ignore[arg-type]
    assert evaluation.label_service.calls == 12
    assert module.label_service.calls == 0
    assert set(final_pass.summary()) == {"backward_teacher_distance_px", "backward_transfer_px"}


def test_the_teachers_own_keypoints_have_no_final_weights() -> None:
    evaluation = PrequentialEvaluation(MissingRule(), BODY, TruthTeacher(BODY), predictor="teacher")
    with pytest.raises(UserError, match=r"metric.final_pass=True: expected false with predictor=teacher"):
        BackwardTransfer(windows, evaluation)
