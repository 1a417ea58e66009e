"""Diagnostics of a stream of two windows of ten frames at 10 frames/s, with errors given beforehand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from callbacks.diagnostics import SelectionDiagnostics
from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.window import FrameWindow
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.truth import TruthTeacher
from tests.windows import make_window

BODY = get_skeleton("body-12")
LABELS = ({"subject": "S1", "action": "Walking"}, {"subject": "S1", "action": "Eating"})


@pytest.fixture
def evaluation() -> PrequentialEvaluation:
    return PrequentialEvaluation(MissingRule(), BODY, TruthTeacher(BODY))


def window_of(evaluation: PrequentialEvaluation, index: int, errors: list[float], **options) -> FrameWindow:
    """Return a window with two clips, already measured."""
    window = make_window(10, index=index, sizes=((64, 64), (64, 64)), **options)
    window.segments = tuple(
        replace(segment, clip=f"clip {2 * index + at}", labels=labels)
        for at, (segment, labels) in enumerate(zip(window.segments, LABELS, strict=True))
    )
    evaluation.frame_ids.append(window.ids)
    evaluation.frame_errors.append(np.array(errors, dtype=np.float32))
    return window


def look(diagnostics: SelectionDiagnostics, window: FrameWindow) -> dict[str, float]:
    diagnostics.on_train_batch_start(None, None, window, window.index)  # type: ignore[arg-type]
    return window.metrics


def test_scores_are_correlated_with_the_errors_of_the_candidates(evaluation: PrequentialEvaluation) -> None:
    diagnostics = SelectionDiagnostics(evaluation, rate_hz=10)
    window = window_of(evaluation, 0, [1, 50, 2, 40, 3, 30, 4, 20, 5, 10], every=2)
    window.scores = np.array([1.0, 0.0, 3.0, 0.0, 2.0, 0.0, 4.0, 0.0, 9.0, 0.0])  # frames 0, 2, 4, 6, 8 count
    # ranks 1 3 2 4 5 against 1 2 3 4 5: 1 - 6 * 2 / (5 * 24)
    assert look(diagnostics, window)["score_error_correlation"] == pytest.approx(0.9)


def test_scores_meet_the_errors_of_their_own_frames_where_few_were_measured(evaluation: PrequentialEvaluation) -> None:
    diagnostics = SelectionDiagnostics(evaluation, rate_hz=10)
    window = window_of(evaluation, 1, [0.0] * 10)
    evaluation.frame_ids[-1], evaluation.frame_errors[-1] = np.array([12, 15, 19]), np.array([1.0, 2.0, 3.0])
    window.scores = np.array([9, 9, 5, 9, 9, 6, 9, 9, 9, 7.0])
    assert look(diagnostics, window)["score_error_correlation"] == pytest.approx(1)


def test_near_duplicates_are_counted_in_seconds(evaluation: PrequentialEvaluation) -> None:
    for near_s, share in ((0.1, 0.5), (0.2, 0.75), (0.4, 1.0)):
        diagnostics = SelectionDiagnostics(evaluation, rate_hz=10, near_s=near_s)
        window = window_of(evaluation, 0, [0.0] * 10)
        window.selected = np.array([0, 1, 3, 7])
        assert look(diagnostics, window)["redundancy"] == share


def test_what_is_not_defined_is_not_logged(evaluation: PrequentialEvaluation) -> None:
    diagnostics = SelectionDiagnostics(evaluation, rate_hz=10)
    assert look(diagnostics, window_of(evaluation, 0, [1.0] * 10)) == {}
    window = window_of(evaluation, 1, [1.0] * 10)
    window.scores = np.arange(10.0)  # the errors are all equal
    window.selected = np.array([3])
    assert look(diagnostics, window) == {"redundancy": 0.0}
    summary = diagnostics.summary()
    assert summary["redundancy"] == 0.0
    assert math.isnan(summary["score_error_correlation"])
