from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from pose_oad.online.label_service import LabelService
from pose_oad.online.stopwatch import Stopwatch
from pose_oad.online.view import SelectionView, Situation
from pose_oad.online.window import FrameWindow, GroundTruthAccessError, reveal
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from tests.windows import make_window, small_student


class CountingTeacher:
    """Label frame f with every joint at (f, 2f), and one more person in every third frame."""

    name = "counting"
    skeleton = get_skeleton("body-12")
    uses_truth = False

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def image_size(self, frame_size: tuple[int, int]) -> None:
        return None

    def label(self, request: TeacherRequest) -> Labels:
        self.asked.append(request.ids.tolist())
        people = 2 if (request.ids % 3 == 0).any() else 1
        keypoints = torch.zeros(len(request.ids), people, 12, 3)
        ids = torch.from_numpy(request.ids).float()
        keypoints[:, 0] = torch.stack([ids, 2 * ids, torch.ones_like(ids)], -1)[:, None]
        return Labels(keypoints)


def test_the_truth_is_sealed_and_opens_for_evaluation() -> None:
    window = make_window(4)
    with pytest.raises(GroundTruthAccessError):
        _ = window.truth
    assert reveal(window) is not None


def test_a_strategys_view_has_no_way_to_the_truth() -> None:
    window = make_window(4)
    situation = Situation(window, small_student(), LabelService(CountingTeacher()))
    view = SelectionView(situation, 2, np.random.default_rng(0))
    with pytest.raises(GroundTruthAccessError):
        _ = view.truth
    truth = reveal(window)
    for name, value in vars(view).items():
        assert value is not truth
        assert not isinstance(value, FrameWindow), name


def test_a_frame_that_the_teacher_has_not_seen_has_no_label() -> None:
    window = make_window(10, every=3)
    service = LabelService(teacher := CountingTeacher())
    with pytest.raises(ValueError, match=r"\[4, 5\]"):
        service.label(window, np.array([3, 4, 5]))
    assert teacher.asked == []


def test_every_frame_is_labelled_once_and_counted() -> None:
    window = make_window(10)
    service = LabelService(teacher := CountingTeacher())
    service.label(window, np.array([1, 4]))
    labels = service.label(window, np.array([1, 2, 4, 7]))
    assert teacher.asked == [[1, 4], [2, 7]]
    assert labels.keypoints[:, 0, 0, 0].tolist() == [1, 2, 4, 7]
    assert service.calls == 4
    assert service.take_counts() == {"teacher_calls": 4}
    assert service.take_counts() == {}


def test_labels_with_more_and_fewer_people_are_padded() -> None:
    window = make_window(10)
    service = LabelService(CountingTeacher())
    service.label(window, np.array([1]))
    labels = service.label(window, np.array([1, 3]))
    assert labels.keypoints.shape == (2, 2, 12, 3)
    assert not labels.keypoints[0, 1].any()


def test_an_empty_request_is_legal() -> None:
    window = make_window(10)
    service = LabelService(teacher := CountingTeacher())
    assert len(service.label(window, np.empty(0, dtype=np.int64)).keypoints) == 0
    assert teacher.asked == []


def test_asking_is_timed_as_label_not_as_query() -> None:
    watch = Stopwatch()
    service = LabelService(CountingTeacher(), watch=watch)
    with watch("query"):
        service.label(make_window(4), np.array([1]))
    assert watch.take().keys() == {"query", "label"}


def test_calls_to_measure_are_counted_apart() -> None:
    service = LabelService(CountingTeacher(), measuring=True)
    service.label(make_window(4), np.array([1, 2]))
    assert service.take_counts() == {"evaluation_teacher_calls": 2}


def test_a_window_cannot_be_written_to_and_knows_its_time() -> None:
    window = replace(make_window(4, index=2), rate=2.0)
    assert window.arrivals.tolist() == [4.0, 4.5, 5.0, 5.5]
    assert window.closed_s == 6.0
    with pytest.raises(FrozenInstanceError):
        window.index = 3  # type: ignore[misc]


def test_keypoints_go_to_the_input_and_back_across_segments() -> None:
    window = make_window(6, sizes=((64, 64), (128, 64)))
    keypoints = torch.rand(6, 12, 3) * 50
    positions = np.array([0, 2, 3, 5])
    there = window.to_input(keypoints[torch.from_numpy(positions)], positions)
    full = torch.zeros_like(keypoints)
    full[torch.from_numpy(positions)] = there
    assert torch.allclose(
        window.to_frame(full)[torch.from_numpy(positions)], keypoints[torch.from_numpy(positions)], atol=1e-4
    )
    # the second half comes from frames twice as wide, so the same px lie at half the place
    assert there[3, 0, 0] == pytest.approx(float(keypoints[5, 0, 0]) * 32 / 128)
