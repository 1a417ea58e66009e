from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_oad.offline.collection import Collector, collect_measured, metric_scale
from pose_oad.offline.frame_store import FrameStore
from pose_oad.online.triggers import Always
from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import known_cells
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.windows import Listed, make_window

BODY = get_skeleton("body-12")


def collector_of(positions: list[list[int]], student: PoseStudent, teacher: TruthTeacher | None = None) -> Collector:
    return Collector(Listed(*positions), Always(1.0), student, teacher or TruthTeacher(BODY))


@pytest.fixture(scope="module")
def student() -> PoseStudent:
    torch.manual_seed(0)
    config = StudentConfig("s", "mobilenetv4_conv_small_050", input_size=(32, 32), head_channels=16)
    return build_student(config).eval()


def windows(count: int = 2) -> list[FrameWindow]:
    return [make_window(6, index=index, sizes=((64, 64), (128, 64))) for index in range(count)]


def test_chosen_frames_are_kept_with_their_labels(student: PoseStudent, tmp_path: Path) -> None:
    made, seen = windows(3), []
    collector = collector_of([[1, 4], [], [0]], student)
    content = collector.collect(made, FrameStore(1, tmp_path), lambda *told: seen.append(told)).content
    assert torch.equal(content.frames, torch.cat([made[0].frames[[1, 4]], made[2].frames[[0]]]))
    assert collector.frames == 18
    assert collector.label_service.calls == 3
    assert [choice.positions.tolist() for _, choice, _, _ in seen] == [[1, 4], [], [0]]
    assert [figures for *_, figures in seen] == [{"selected": n, "teacher_calls": n} for n in (2, 0, 1)]
    # position 4 is in the segment of 128x64 frames: a quarter of their px, below a bar of 8 px
    truth = made[0]._sealed_truth[4, 0]
    assert torch.allclose(content.keypoints[1, 0, :, :2], truth[:, :2] / 4 + torch.tensor([0.0, 8.0]), atol=1e-5)
    assert content.known.all()


def test_a_joint_the_teacher_misses_is_unknown_about_that_person(student: PoseStudent, tmp_path: Path) -> None:
    [window] = windows(1)
    window._sealed_truth[1, 0, 3] = 0.0
    window._sealed_truth[2] = 0.0
    collector = collector_of([[0, 1, 2]], student)
    content = collector.collect([window], FrameStore(1, tmp_path), lambda *_: None).content
    assert content.known.all()
    target = student.targets(content.keypoints)
    cells = known_cells(content.keypoints, target, BODY, student.input_size)
    assert cells is not None
    whole = [True] * 12
    assert cells.joints.flatten(2).all(2).tolist() == [whole, [joint != 3 for joint in range(12)], whole]


def test_measured_frames_are_the_candidates_with_their_truth(student: PoseStudent, tmp_path: Path) -> None:
    window = make_window(6, sizes=((64, 64), (128, 64)), every=3, metric_scale=5.0)
    content = collect_measured([window], student, FrameStore(1, tmp_path)).content
    assert torch.equal(content.frames, window.frames[[0, 3]])
    # in px of the metric, the distance of two joints is that in the frame times the metric's scale
    for row, position in enumerate((0, 3)):
        truth = window._sealed_truth[position, 0, :, :2]
        ours = content.keypoints[row, 0, :, :2] * content.metric_scale[row]
        assert torch.allclose(ours[0] - ours[7], (truth[0] - truth[7]) * 5.0, atol=1e-3)


def test_the_metric_scale_follows_the_segment() -> None:
    window = make_window(6, sizes=((64, 64), (128, 64)), metric_scale=3.0)
    assert metric_scale(window, np.array([0, 2, 3])).tolist() == [[6.0, 6.0], [6.0, 6.0], [12.0, 12.0]]
    assert metric_scale(window, np.array([4])).tolist() == [[12.0, 12.0]]


def test_a_teacher_without_a_common_joint_is_refused(student: PoseStudent) -> None:
    hand = Skeleton("hand-1", ("thumb",))
    with pytest.raises(UserError, match="hand-1 and body-12 have no joint in common"):
        collector_of([], student, TruthTeacher(hand))
