from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.skeleton import get_skeleton
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.window import reveal
from tests.windows import make_window

BODY = get_skeleton("body-12")


def test_clips_of_one_window_are_measured_at_their_own_scale() -> None:
    window = make_window(4, sizes=((64, 64), (128, 128)))
    window.segments = tuple(replace(s, metric_scale=scale) for s, scale in zip(window.segments, (2, 1), strict=True))
    truth = reveal(window)
    assert truth is not None
    truth[..., 2] = 1
    window.predictions = truth[:, 0] + torch.tensor([3.0, 4.0, 0.0])
    _, errors, _ = PrequentialEvaluation(MissingRule(), BODY, TruthTeacher(BODY)).errors(window, BODY)
    assert errors.per_frame().tolist() == pytest.approx([10, 10, 5, 5], abs=1e-4)
