"""Frames that the page of a run shows."""

from __future__ import annotations

import numpy as np
import torch

from callbacks.gallery import Gallery
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.measurement import Measurement
from pose_oad.online.weights import Span
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.teachers.window_labels import WindowLabels
from tests.windows import BODY, make_window, record_of, small_student


def meet(gallery: Gallery, windows: int, people: str = "one") -> None:
    """Show windows of six frames, of which the second and the fifth are labelled, and scored by their place."""
    student = small_student()
    measurement = Measurement(MissingRule(), BODY, TruthTeacher(BODY), None, people=people)  # type: ignore[arg-type]
    for index in range(windows):
        window = make_window(6, index=index)
        measured = measurement.measure(window, [Span(0, 6, student)])
        labels = WindowLabels(BODY, torch.ones(2, 1, 12, 3) * 20)
        gallery.window_closed(
            record_of(window, measured, [1, 4], labels=labels, scores=np.arange(6.0)),  # type: ignore[arg-type]
        )


def test_pictures_are_few_however_long_the_stream() -> None:
    gallery = Gallery(BODY, count=3)
    meet(gallery, 20)
    assert 3 <= len(gallery.chosen.kept) < 6
    assert 3 <= len(gallery.measured.kept) < 6
    assert [shot.frame_id for shot in gallery.chosen.kept] == [1, 25, 49, 73, 97]
    errors = [shot.error for shot in gallery.worst]
    assert len(errors) == 3
    assert errors == sorted(errors, reverse=True)
    assert len({shot.frame_id // 6 for shot in gallery.worst}) == 3
    assert gallery.chosen.kept[0].image.shape == (32, 32, 3)


def test_a_score_is_placed_in_its_window() -> None:
    gallery = Gallery(BODY)
    meet(gallery, 1)
    assert [(shot.score, shot.rank) for shot in gallery.chosen.kept] == [(1.0, 1 / 6), (4.0, 4 / 6)]


def test_everybody_in_a_frame_is_kept() -> None:
    gallery = Gallery(BODY)
    meet(gallery, 1, people="many")
    assert gallery.worst[0].reference.shape[1:] == (12, 3)


def test_it_goes_on_from_its_state() -> None:
    gallery, again = Gallery(BODY, count=3), Gallery(BODY, count=3)
    meet(gallery, 4)
    again.load_state_dict(gallery.state_dict())
    assert again.worst[0].error == gallery.worst[0].error
    assert (again.chosen.offered, again.chosen.stride) == (gallery.chosen.offered, gallery.chosen.stride)
    assert torch.equal(again.chosen.kept[-1].jpeg, gallery.chosen.kept[-1].jpeg)
