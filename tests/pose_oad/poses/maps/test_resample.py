from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_oad.online.label_service import LabelService
from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.maps import MapTargets, encode
from pose_oad.poses.maps.resample import turn_fields
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.student import NetworkTeacher
from tests.networks import MapNetwork
from tests.windows import make_window

LIMB = Skeleton("limb", ("start", "end"), ((0, 1),))
FRAME, INPUT = (800, 400), (128, 128)
SQUASH = FrameResize.of(FRAME, INPUT, "squash")
# Falling to the right, far from both axes: 200 px right and 120 px down in the frame.
PERSON = torch.tensor([[[[300.0, 140, 1], [500, 260, 1]]]])


def drawn(keypoints: Tensor, size: tuple[int, int], cells: tuple[int, int]) -> MapTargets:
    return encode(keypoints, LIMB, input_size=size, map_size=cells, sigma=0.05)


def directions(fields: Tensor) -> Tensor:
    """Directions of a field's strong vectors, shape (cells, 2)."""
    flat = fields[0, 0].flatten(1).T
    strong = flat.norm(dim=1) > 0.5
    assert strong.any()
    return torch.nn.functional.normalize(flat[strong], dim=1)


def test_vectors_turn_back_and_keep_their_length() -> None:
    fields = torch.randn(2, 3, 2, 4, 5)
    fields[0, 0, :, 0, 0] = 0
    turned = turn_fields(fields, (0.2, 1.5))
    assert torch.allclose(turned.norm(dim=2), fields.norm(dim=2), rtol=1e-5)
    assert torch.allclose(turn_fields(turned, (5, 1 / 1.5)), fields, atol=1e-5)
    assert torch.allclose(turn_fields(fields, (0.7, 0.7)), fields, atol=1e-6)


class MapTeacher:
    """Gives the maps of one person, drawn on the frame."""

    name, skeleton, uses_truth = "maps", LIMB, False

    def image_size(self, frame_size: tuple[int, int]) -> None:
        return None

    def label(self, request: TeacherRequest) -> Labels:
        return Labels(PERSON, *drawn(PERSON, FRAME, (100, 50)))


@pytest.mark.parametrize("resize_mode", ["squash", "letterbox"])
def test_a_teachers_fields_point_along_the_limbs_of_the_students_picture(resize_mode: str) -> None:
    window = make_window(1)
    placed = FrameResize.of(FRAME, INPUT, resize_mode)  # type: ignore[arg-type]
    window = replace(window, segments=(replace(window.segments[0], resize=placed),))
    labels = LabelService(MapTeacher(), (32, 32)).label(window, np.array([0]))
    wanted = directions(drawn(placed.to_input(PERSON), INPUT, (32, 32)).part_affinity_fields)[0]
    assert labels.part_affinity_fields is not None
    assert (directions(labels.part_affinity_fields) @ wanted).min() > 0.9999


def test_a_student_that_squashes_says_as_a_teacher_how_limbs_lie_in_the_frame() -> None:
    request = TeacherRequest(np.array([0]), np.zeros((1, 128, 128, 3), np.uint8), FRAME)
    maps = drawn(SQUASH.to_input(PERSON), INPUT, (32, 32))
    network = MapNetwork(lambda frames: (maps[0], maps[1]), LIMB, INPUT, resize_mode="squash")
    labels = NetworkTeacher(network, 1, "squashing").label(request)
    assert labels.part_affinity_fields is not None
    wanted = directions(drawn(PERSON, FRAME, (100, 50)).part_affinity_fields)[0]
    assert (directions(labels.part_affinity_fields) @ wanted).min() > 0.9999
