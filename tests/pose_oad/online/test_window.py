from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_oad.online.label_service import LabelService
from pose_oad.online.window import FrameWindow, GroundTruthAccessError, SelectionView, reveal
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from tests.windows import make_window


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


def with_teacher(window: FrameWindow) -> CountingTeacher:
    teacher = CountingTeacher()
    window.label_service = LabelService(teacher)
    return teacher


def test_the_truth_is_sealed_and_opens_for_evaluation() -> None:
    window = make_window(4)
    with pytest.raises(GroundTruthAccessError):
        _ = window.truth
    assert reveal(window) is not None


def test_a_strategys_view_has_no_way_to_the_truth() -> None:
    window = make_window(4)
    view = SelectionView(window, 2, get_skeleton("body-12"), np.random.default_rng(0), None)
    with pytest.raises(GroundTruthAccessError):
        _ = view.truth
    truth = reveal(window)
    for name, value in vars(view).items():
        assert value is not truth
        assert not isinstance(value, FrameWindow), name


def test_a_frame_that_the_teacher_has_not_seen_has_no_label() -> None:
    window = make_window(10, every=3)
    teacher = with_teacher(window)
    with pytest.raises(ValueError, match=r"\[4, 5\]"):
        window.label(np.array([3, 4, 5]))
    assert teacher.asked == []


def test_every_frame_is_labelled_once_and_counted() -> None:
    window = make_window(10)
    teacher = with_teacher(window)
    window.label(np.array([1, 4]))
    labels = window.label(np.array([1, 2, 4, 7]))
    assert teacher.asked == [[1, 4], [2, 7]]
    assert labels.keypoints[:, 0, 0, 0].tolist() == [1, 2, 4, 7]
    assert window.label_service is not None
    assert window.label_service.calls == window.counts["teacher_calls"] == 4


def test_labels_with_more_and_fewer_people_are_padded() -> None:
    window = make_window(10)
    with_teacher(window)
    window.label(np.array([1]))
    labels = window.label(np.array([1, 3]))
    assert labels.keypoints.shape == (2, 2, 12, 3)
    assert not labels.keypoints[0, 1].any()


def test_an_empty_request_is_legal() -> None:
    window = make_window(10)
    teacher = with_teacher(window)
    assert len(window.label(np.empty(0, dtype=np.int64)).keypoints) == 0
    assert teacher.asked == []


def test_asking_is_timed_as_label_not_as_query(monkeypatch: pytest.MonkeyPatch) -> None:
    window = make_window(4)
    clock = iter([0.0, 2.0, 7.0, 10.0])  # query begins, label begins, label ends, query ends
    monkeypatch.setattr("pose_oad.online.window.time.perf_counter", lambda: next(clock))
    with window.phase("query"), window.phase("label"):
        pass
    assert dict(window.seconds) == {"label": 5.0, "query": 5.0}


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
