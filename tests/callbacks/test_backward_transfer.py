"""The final pass over a stream of three windows of four frames, after the weights have changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from callbacks.backward_transfer import BackwardTransfer
from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.measurement import Measurement
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.windows import BODY, make_loop, make_window, record_of


def windows() -> list[FrameWindow]:
    return [make_window(4, index=index) for index in range(3)]


@pytest.fixture
def module() -> OnlineDistillation:
    return OnlineDistillation(make_loop())


def evaluation_of(truth: Skeleton | None = BODY, teacher_every: int | None = None) -> PrequentialEvaluation:
    return PrequentialEvaluation(Measurement(MissingRule("argmax"), truth, TruthTeacher(BODY), teacher_every), BODY)


def meet(evaluation: PrequentialEvaluation, module: OnlineDistillation, stream: list[FrameWindow]) -> None:
    for window in stream:
        measured = evaluation.measurement.measure(window, module.loop.weights.at(window.arrivals))
        evaluation.window_closed(record_of(window, measured))


def disturb(module: OnlineDistillation) -> None:
    """Publish other weights, which are not ready before the stream is over."""
    with torch.no_grad():
        for weight in module.student.head.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    module.loop.weights.publish(module.student, ready_s=1e9)


def test_the_final_student_is_measured_on_the_windows_it_has_met(module: OnlineDistillation) -> None:
    evaluation = evaluation_of()
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
    evaluation = evaluation_of()
    meet(evaluation, module, windows())
    final_pass = BackwardTransfer(windows, evaluation)
    final_pass.on_train_end(None, module)  # type: ignore[arg-type]
    assert final_pass.summary()["backward_transfer_px"] == 0.0


def test_without_a_truth_the_teacher_is_asked_again_for_evaluation(module: OnlineDistillation) -> None:
    evaluation = evaluation_of(None, 2)
    meet(evaluation, module, windows())
    assert evaluation.measurement.evaluation_labels.calls == 6
    final_pass = BackwardTransfer(windows, evaluation)
    final_pass.on_train_end(None, module)  # type: ignore[arg-type]
    assert evaluation.measurement.evaluation_labels.calls == 12
    assert module.loop.labels.calls == 0
    assert set(final_pass.summary()) == {"backward_teacher_distance_px", "backward_transfer_px"}


def test_the_teachers_own_keypoints_have_no_final_weights() -> None:
    evaluation = PrequentialEvaluation(Measurement(MissingRule(), BODY, TruthTeacher(BODY), predictor="teacher"), BODY)
    with pytest.raises(UserError, match=r"metric.final_pass=True: expected false with predictor=teacher"):
        BackwardTransfer(windows, evaluation)
