"""The frozen student beside the adapting one, on windows of ten frames at 10 frames/s."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from callbacks.frozen_twin import FrozenTwin
from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.measurement import Measurement
from pose_oad.online.weights import Span
from pose_oad.online.window import reveal
from pose_oad.students import PoseStudent
from pose_oad.students.keypoints import Poses
from pose_oad.teachers.truth import TruthTeacher
from tests.windows import BODY, make_loop, make_window, record_of, small_student


@pytest.fixture
def evaluation() -> PrequentialEvaluation:
    return PrequentialEvaluation(Measurement(MissingRule(), BODY, TruthTeacher(BODY), teacher_every=None), BODY)


def twin_of(evaluation: PrequentialEvaluation, student: Any = None, **options: float) -> FrozenTwin:
    twin = FrozenTwin(evaluation, rate_hz=10, **options)
    twin._module = SimpleNamespace(pretrained=student or SimpleNamespace(skeleton=BODY))  # type: ignore[assignment]
    return twin


def moved(truth: torch.Tensor, px: float) -> torch.Tensor:
    return truth[:, 0] + torch.tensor([px, 0.0, 0.0])


def play(twin: FrozenTwin, index: int, adapted: list[float], frozen: list[float], *names: str) -> dict[str, float]:
    """Meet a window of two clips in which both students are off by so many px in each frame."""
    window = make_window(10, index=index, sizes=((64, 64), (64, 64)))
    segments = tuple(
        replace(segment, clip=name, labels={"subject": name[0], "action": name[1:]})
        for segment, name in zip(window.segments, names, strict=True)
    )
    window = replace(window, segments=segments)
    truth = reveal(window)
    rows = [torch.stack([moved(truth[i : i + 1], px)[0] for i, px in enumerate(off)]) for off in (adapted, frozen)]
    measurement = twin.evaluation.measurement
    measurement._predict = lambda *_: (rows.pop(0), None)  # type: ignore[method-assign]
    record = record_of(
        window, measurement.measure(window, [Span(0, 10, SimpleNamespace(skeleton=BODY))]), steps_before=1
    )  # type: ignore[arg-type]
    twin.evaluation.window_closed(record)
    return twin.window_closed(record)


def test_the_gain_is_the_difference_on_the_same_frames(
    evaluation: PrequentialEvaluation,
) -> None:
    twin = twin_of(evaluation, span_s=0.2)
    # The second clip is easier for both: an error that falls with it is no gain.
    first = play(twin, 0, [40] * 5 + [20] * 5, [40] * 5 + [20] * 5, "AWalk", "AEat")
    second = play(twin, 1, [10, 10, 10, 5, 5, 25, 25, 15, 15, 15], [20] * 5 + [30] * 5, "AEat", "BEat")
    assert first["frozen_mpjpe_px"] == pytest.approx(30)
    assert second["frozen_mpjpe_px"] == pytest.approx(25)
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
    evaluation: PrequentialEvaluation,
) -> None:
    twin = twin_of(evaluation)
    errors = [10.0] * 5 + [80, 60, 40, 20, 10]
    play(twin, 0, errors, errors, "AWalk", "BEat")
    summary = twin.summary()
    assert summary["gain_px"] == summary["gain_before_change_px"] == summary["gain_after_change_px"] == 0


def test_a_stream_of_one_clip_has_no_change(evaluation: PrequentialEvaluation) -> None:
    twin = twin_of(evaluation)
    for index in range(2):
        play(twin, index, [5.0] * 10, [6.0] * 10, "AWalk", "AWalk")
    summary = twin.summary()
    assert summary["gain_px"] == pytest.approx(1, rel=1e-4)
    assert all(math.isnan(value) for name, value in summary.items() if "change" in name)


def test_the_twin_keeps_the_first_weights_and_goes_on_from_its_state(evaluation: PrequentialEvaluation) -> None:
    module = OnlineDistillation(make_loop())
    assert module.pretrained is not module.student

    def look(twin: FrozenTwin, index: int, learnt: int) -> None:
        window = make_window(4, index=index)
        measured = evaluation.measurement.measure(window, [Span(0, 4, module.student)])
        record = record_of(window, measured, steps_before=learnt)
        evaluation.window_closed(record)
        twin.window_closed(record)

    twin, again = twin_of(evaluation, module.pretrained), twin_of(evaluation, module.pretrained)
    look(twin, 0, 0)
    assert np.array_equal(twin._errors[0], evaluation.frame_errors[0])
    window = make_window(4, index=1)
    expected = module.student.keypoints(window.frames)
    with torch.no_grad():
        for weight in module.student.head.parameters():
            weight.add_(torch.randn_like(weight))
    again.load_state_dict(twin.state_dict())
    look(again, 1, 1)
    off = (window.to_frame(expected.single) - reveal(window)[:, 0])[..., :2].norm(dim=-1).mean(1)
    assert again._errors[1] == pytest.approx(off.numpy(), rel=1e-5)
    assert not np.allclose(again._errors[1], evaluation.frame_errors[1])
    assert len(twin._errors) == 1


def test_only_frames_that_are_measured_are_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    student, window = small_student(), make_window(7, sizes=((64, 64), (32, 64)))
    measurement = Measurement(MissingRule(), None, TruthTeacher(BODY), teacher_every=3)
    evaluation = PrequentialEvaluation(measurement, BODY)
    twin = twin_of(evaluation, student)
    record = record_of(window, measurement.measure(window, [Span(0, 7, student)]), steps_before=1)
    evaluation.window_closed(record)
    seen: list[int] = []

    keypoints = PoseStudent.keypoints

    def count(student: PoseStudent, frames: torch.Tensor, *rest: object) -> Poses:
        seen.append(len(frames))
        return keypoints(student, frames, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PoseStudent, "keypoints", count)
    twin.window_closed(record)
    assert seen == [3]
    assert twin._errors[0] == pytest.approx(evaluation.frame_errors[0], rel=1e-3)
    assert measurement.evaluation_labels.calls == 3
    assert twin.summary()["gain_px"] == pytest.approx(0, abs=1e-2)
