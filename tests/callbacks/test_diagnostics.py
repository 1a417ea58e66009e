"""Diagnostics of a stream of two windows of ten frames at 10 frames/s, with errors given beforehand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from callbacks.diagnostics import SelectionDiagnostics
from tests.windows import make_window, record_of


def look(
    diagnostics: SelectionDiagnostics, errors: list[float], ids: Any = None, every: int = 1, **choice: Any
) -> dict:
    """Look at a window of ten frames, of which some have been measured."""
    window = make_window(10, every=every)
    measured = SimpleNamespace(ids=window.ids if ids is None else np.array(ids), frame_errors=np.array(errors))
    return diagnostics.window_closed(record_of(window, measured, **choice))


def test_scores_are_correlated_with_the_errors_of_the_candidates() -> None:
    scores = np.array([1.0, 0.0, 3.0, 0.0, 2.0, 0.0, 4.0, 0.0, 9.0, 0.0])  # frames 0, 2, 4, 6, 8 count
    figures = look(SelectionDiagnostics(rate_hz=10), [1, 50, 2, 40, 3, 30, 4, 20, 5, 10], every=2, scores=scores)
    # ranks 1 3 2 4 5 against 1 2 3 4 5: 1 - 6 * 2 / (5 * 24)
    assert figures["score_error_correlation"] == pytest.approx(0.9)


def test_scores_meet_the_errors_of_their_own_frames_where_few_were_measured() -> None:
    scores = np.array([9, 9, 5, 9, 9, 6, 9, 9, 9, 7.0])
    figures = look(SelectionDiagnostics(rate_hz=10), [1.0, 2.0, 3.0], ids=[2, 5, 9], scores=scores)
    assert figures["score_error_correlation"] == pytest.approx(1)


def test_near_duplicates_are_counted_in_seconds() -> None:
    for near_s, share in ((0.1, 0.5), (0.2, 0.75), (0.4, 1.0)):
        diagnostics = SelectionDiagnostics(rate_hz=10, near_s=near_s)
        assert look(diagnostics, [0.0] * 10, positions=[0, 1, 3, 7])["redundancy"] == share


def test_what_is_not_defined_is_not_logged() -> None:
    diagnostics = SelectionDiagnostics(rate_hz=10)
    assert look(diagnostics, [1.0] * 10) == {}
    figures = look(diagnostics, [1.0] * 10, scores=np.arange(10.0), positions=[3])  # the errors are all equal
    assert figures == {"redundancy": 0.0}
    summary = diagnostics.summary()
    assert summary["redundancy"] == 0.0
    assert math.isnan(summary["score_error_correlation"])
