from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.predict.poses import FollowingReader, FramePoses, StudentReader, TeacherReader, TruthReader, distances
from pose_oad.teachers.base import Labels, TeacherRequest
from tests.networks import PEOPLE, SEER, MapNetwork, Maps, two_then_one
from tests.teachers import FixedTeacher, standing

BODY = get_skeleton("body-12")
PAIR = Skeleton("pair", ("left_hip", "right_hip"))
TURNED = Skeleton("turned", ("right_hip", "pelvis", "left_hip"))


def images(count: int) -> list[np.ndarray]:
    return [np.zeros((64, 64, 3), np.uint8)] * count


def test_one_person_is_brought_back_to_each_frames_own_px() -> None:
    reader = StudentReader(SEER, "letterbox", "single")
    sizes = [(64, 64), (128, 64), (32, 64)]
    found = reader.read(images(3), sizes, 0)
    for poses, size in list(zip(found, sizes, strict=True))[1:]:
        expected = FrameResize.of(size, (64, 64), "letterbox").to_frame(PEOPLE[:1])
        torch.testing.assert_close(poses.keypoints[..., :2], expected[..., :2], atol=0.3, rtol=0)
        assert poses.scores.shape == (1,)
        assert float(poses.scores) == pytest.approx(float(poses.keypoints[..., 2].mean()))
    assert all(poses.located for poses in found)


def test_everybody_is_found_and_missing_people_are_left_out() -> None:
    reader = StudentReader(SEER, "squash", "many")
    first, second = reader.read(images(2), [(64, 64), (640, 32)], 0)
    assert (len(first.keypoints), len(second.keypoints)) == (2, 1)
    order = first.keypoints[:, 0, 0].argsort()
    torch.testing.assert_close(first.keypoints[order, :, :2], PEOPLE[..., :2], atol=0.3, rtol=0)
    wide = PEOPLE[:1, :, :2] * torch.tensor([10.0, 0.5])
    torch.testing.assert_close(second.keypoints[..., :2], wide, atol=3.0, rtol=0)
    assert not first.located


def test_people_are_assembled_from_the_first_frame_on_that_shows_several() -> None:
    def late(frames: torch.Tensor) -> Maps:
        maps, fields = two_then_one(frames)
        return maps.roll(1, 0), fields.roll(1, 0)  # the second of the frames shows both

    reader = StudentReader(MapNetwork(late, BODY), "squash", "auto")
    read = [*reader.read(images(3), [(64, 64)] * 3, 0), *reader.read(images(1), [(64, 64)], 3)]
    assert [(len(found.keypoints), found.located) for found in read] == [(1, True), (2, False), (1, False), (2, False)]


class Echo:
    """Says that there is one person at (frame number, image width), and an empty place."""

    name, skeleton, uses_truth = "echo", PAIR, False

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        return frame_size[0] // 2, frame_size[1] // 2

    def label(self, request: TeacherRequest) -> Labels:
        self.asked.append(request.ids.tolist())
        assert request.images is not None
        keypoints = torch.zeros(len(request.ids), 2, 2, 3)
        keypoints[:, 0, :, 0] = torch.from_numpy(request.ids).float()[:, None]
        keypoints[:, 0, :, 1] = request.images.shape[2]
        keypoints[:, 0, :, 2] = torch.tensor([0.5, 1.0])
        return Labels(keypoints)


def test_a_teacher_is_asked_once_for_neighbours_of_one_size() -> None:
    teacher = Echo()
    reader = TeacherReader(cast("Any", teacher), "many")
    sizes = [(40, 20), (40, 20), (20, 20), (40, 20)]
    shown = [np.zeros((h // 2, w // 2, 3), np.uint8) for w, h in sizes]
    found = reader.read(shown, sizes, 7)
    assert teacher.asked == [[7, 8], [9], [10]]
    assert [poses.keypoints[0, 0, :2].tolist() for poses in found] == [[7, 20], [8, 20], [9, 10], [10, 20]]
    assert [poses.scores.tolist() for poses in found] == [[0.75]] * 4
    resize = reader.resize((40, 20))
    assert resize is not None
    assert resize.content == (0, 0, 20, 10)


def test_a_teacher_that_is_asked_seldom_is_held_in_between() -> None:
    teacher = Echo()
    reader = TeacherReader(cast("Any", teacher), "many", every=3)
    shown = [np.zeros((10, 20, 3), np.uint8)] * 5
    found = reader.read(shown, [(40, 20)] * 5, 2) + reader.read(shown[:2], [(40, 20)] * 2, 7)
    assert teacher.asked == [[3, 6]]
    assert [poses.held for poses in found] == [True, False, True, True, False, True, True]
    assert [len(poses.keypoints) for poses in found] == [0, 1, 1, 1, 1, 1, 1]
    assert found[-1].keypoints[0, 0, 0] == 6


def test_the_truth_ends_with_its_file() -> None:
    truth = TruthReader(torch.arange(12.0).view(2, 1, 2, 3) + 1, PAIR)
    found = truth.read([], [(8, 8)] * 3, 1)
    assert found[0].keypoints[0, 0].tolist() == [7, 8, 9]
    assert [float(poses.keypoints.sum()) for poses in found[1:]] == [0, 0]


def poses(*people: list[tuple[float, float, float]], joints: int = 2, located: bool = True) -> FramePoses:
    keypoints = torch.tensor(people, dtype=torch.float32) if people else torch.zeros(0, joints, 3)
    return FramePoses(keypoints, torch.ones(len(people)), located)


def mean_distance(*compared: Any) -> float:
    return float(distances(*compared).nanmean())


def test_distances_are_taken_by_joint_name_to_the_nearest_person() -> None:
    wanted = poses([(10, 0, 1), (99, 99, 1), (0, 0, 1)])  # right hip, pelvis, left hip
    near, far = [(0.0, 3.0, 0.9), (10.0, 5.0, 0.0)], [(50.0, 0.0, 1.0), (60.0, 0.0, 1.0)]
    assert mean_distance(poses(far, near), wanted, PAIR, TURNED) == pytest.approx((3 + 5) / 2)
    # The right hip was not found: it counts only where every joint has a location.
    assert mean_distance(poses(near, located=False), wanted, PAIR, TURNED) == pytest.approx(3)
    two = poses([(10, 0, 1), (0, 0, 0), (0, 0, 1)], [(60, 0, 1), (0, 0, 0), (52, 0, 1)])
    assert mean_distance(poses(far, near), two, PAIR, TURNED) == pytest.approx((4 + 1) / 2)


def test_nothing_to_compare_gives_no_number() -> None:
    someone = poses([(1, 1, 1), (2, 2, 1)])
    assert math.isnan(mean_distance(poses(), someone, PAIR, PAIR))
    assert math.isnan(mean_distance(someone, poses(), PAIR, PAIR))
    unlabelled = poses([(1, 1, 0), (2, 2, 0)])
    assert math.isnan(mean_distance(someone, unlabelled, PAIR, PAIR))
    assert mean_distance(someone, poses([(1, 1, 0), (2, 2, 0)], [(1, 2, 1), (0, 0, 0)]), PAIR, PAIR) == 1


def test_a_teacher_is_told_where_frames_come_from(tmp_path: Path) -> None:
    teacher = FixedTeacher(Labels(torch.zeros(2, 0, 12, 3)))
    sizes = [(8, 8)] * 2
    TeacherReader(teacher).read([], sizes, 4)
    TeacherReader(teacher, place=tmp_path / "my.mp4").read([], sizes, 4)
    images = [tmp_path / f"{name}.jpg" for name in "abc"]
    TeacherReader(teacher, place=tmp_path, images=images).read([], sizes, 1)
    nowhere, video, folder = (request.origin for request in teacher.requests)
    assert nowhere is None
    assert video is not None
    assert (video.clip, video.numbers.tolist(), video.names) == ("my", [4, 5], ())
    assert folder is not None
    assert (folder.clip, folder.path, folder.names) == (tmp_path.name, tmp_path, ("b.jpg", "c.jpg"))


def test_people_keep_their_numbers_over_batches_and_what_is_held_keeps_them_too() -> None:
    left, right = standing(50), standing(200)
    shown = [[left, right], [right, left], [right], [left, right]]
    frames = [FramePoses(torch.stack(people), torch.ones(len(people))) for people in shown]
    frames.insert(2, frames[1]._replace(held=True))
    frames.append(FramePoses(left[None], torch.ones(1), located=True))

    class Recorded:
        name, skeleton = "recorded", BODY

        def resize(self, frame_size: tuple[int, int]) -> None:
            return None

        def read(self, images: list[np.ndarray], sizes: Any, first: int) -> list[FramePoses]:
            return frames[first : first + len(sizes)]

    reader = FollowingReader(cast("Any", Recorded()))
    found = reader.read([], [(300, 100)] * 3, 0) + reader.read([], [(300, 100)] * 3, 3)
    assert [None if one.ids is None else one.ids.tolist() for one in found] == [
        [0, 1],
        [1, 0],
        [1, 0],
        [1],
        [0, 1],
        None,
    ]
