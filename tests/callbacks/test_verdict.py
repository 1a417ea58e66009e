"""What a run says at its end: whether adapting has helped, and why not."""

from __future__ import annotations

import math

import pytest
import torch

from callbacks.verdict import Verdict
from pose_oad.teachers.window_labels import WindowLabels
from tests.teachers import standing
from tests.windows import BODY, make_window, record_of


def seen(*people: torch.Tensor) -> Verdict:
    """A verdict after so many labelled frames; each holds its people, shape (people, joints, 3)."""
    verdict = Verdict(BODY, "teacher")
    for index, frame in enumerate(people):
        labels = WindowLabels(BODY, frame[None])
        verdict.window_closed(record_of(make_window(2, index=index), positions=[0], labels=labels))
    return verdict


def figures(frozen: float, gain: float, labels: int, **more: float) -> dict[str, float]:
    return {
        "frozen_teacher_distance_px": 1.0, "frozen_teacher_distance_last_third_px": frozen, "gain_last_third_px": gain,
        "selected": labels, "training_events": labels, **more,
    }  # fmt: skip


PERSON, NOBODY = standing()[None], torch.zeros(1, 12, 3)


def test_a_gain_is_said_with_its_figures() -> None:
    said = seen(PERSON).sentence(figures(66.2, 35.1, 36))
    assert "fell from 66 to 31 px" in said
    assert "36 labelled frames" in said
    people = {
        "frozen_people/AP_last_third": 0.1, "people/AP_last_third": 0.55,
        "frozen_people/recall_last_third": 0.4, "people/recall_last_third": 0.9,
    }  # fmt: skip
    assert "AP 0.10 → 0.55, people found 40% → 90%" in seen(PERSON).sentence(figures(66, 35, 36, **people))


def test_without_a_frozen_student_nothing_is_said() -> None:
    assert seen(PERSON).sentence({"selected": 3}) == ""


@pytest.mark.parametrize(
    ("frames", "more", "reason"),
    [
        ([], {}, "no frame was labelled"),
        ([NOBODY] * 15 + [PERSON] * 5, {}, "nobody in 15 of 20"),
        ([PERSON] * 20, {"windows_rejected": 12}, "training.learning_rate"),
        ([PERSON] * 3, {}, "3 frames are little"),
        ([torch.cat([PERSON, standing(150)[None]])] * 20, {}, "several people"),
        ([PERSON, PERSON[:, list(BODY.flip)]] * 10, {}, "disagrees with itself"),
        ([PERSON] * 20, {}, "No reason stands out"),
    ],
)
def test_what_did_not_help_is_said_with_the_likely_reason(frames: list, more: dict, reason: str) -> None:
    said = seen(*frames).sentence(figures(50, -1, len(frames), **more))
    assert "did not help" in said
    assert reason in said
    assert "rose" not in said
    assert "rose" in seen(*frames).sentence(figures(50, -9, len(frames), **more))
    assert reason in seen(*frames).sentence(figures(math.nan, math.nan, len(frames), **more))


def test_what_was_seen_outlives_a_stop() -> None:
    verdict, again = seen(*[PERSON] * 3), seen()
    again.load_state_dict(verdict.state_dict())
    assert again.sentence(figures(50, 0, 3)) == verdict.sentence(figures(50, 0, 3))
