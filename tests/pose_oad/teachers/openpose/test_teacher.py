from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from pose_oad.cli.command import CONF
from pose_oad.cli.teachers import make_teacher
from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.bottom_up import field_channels
from pose_oad.teachers.openpose import teacher as module
from pose_oad.teachers.openpose.networks import OpenPoseBody25
from pose_oad.teachers.openpose.teacher import OpenPoseTeacher
from pose_oad.tracking.errors import UserError
from tests.openpose import body_25, hollow_tensors, random_weights, to_tensors

# OpenPose's POSE_MAP_INDEX of BODY_25, limb by limb: channels of the field's x and y.
MAP_INDEX = [
    0, 1, 14, 15, 22, 23, 16, 17, 18, 19, 24, 25, 26, 27, 6, 7, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 30, 31, 32, 33,
    36, 37, 34, 35, 38, 39, 20, 21, 28, 29, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
]  # fmt: skip


class FakeNetwork(nn.Module):
    """Stands for a network: puts out given maps in OpenPose's order, one pair a call, and keeps what it was shown."""

    def __init__(self, skeleton_name: str, *maps: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.skeleton_name, self.maps = skeleton_name, maps
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(images)
        heat_maps, fields = self.maps[(len(self.seen) - 1) % len(self.maps)]
        return heat_maps.expand(len(images), -1, -1, -1), fields.expand(len(images), -1, -1, -1)


def stand_in(monkeypatch: pytest.MonkeyPatch, network: Any, **options: Any) -> OpenPoseTeacher:
    """Make a teacher of a network that needs no file."""
    monkeypatch.setattr(module, "load_openpose", lambda path, name: network)
    return OpenPoseTeacher("any.pth", **options)


def in_openposes_order(fields: Tensor, skeleton_name: str) -> Tensor:
    """Lay fields, shape (frames, limbs, 2, rows, columns), out as the network does."""
    laid = torch.zeros(len(fields), 2 * fields.shape[1], *fields.shape[3:])
    laid[:, field_channels(get_skeleton(skeleton_name))] = fields.flatten(1, 2)
    return laid


def blank(skeleton_name: str, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    skeleton = get_skeleton(skeleton_name)
    return torch.zeros(1, len(skeleton) + 1, rows, columns), torch.zeros(1, 2 * len(skeleton.limbs), rows, columns)


def test_field_channels_follow_openposes_table() -> None:
    assert field_channels(get_skeleton("body-25")) == MAP_INDEX


@pytest.mark.parametrize("name", ["coco-18", "body-25"])
def test_finds_a_drawn_person_in_px_of_the_frame(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    skeleton, frame_size = get_skeleton(name), (300, 200)
    joints = len(skeleton)
    # A frame of 300 x 200 px is seen at 96 x 64 px, 12 x 8 cells.
    generator = torch.Generator().manual_seed(0)
    person = torch.rand(joints, 3, generator=generator) * torch.tensor([200.0, 120, 0]) + torch.tensor([50.0, 40, 1])
    seen = person * torch.tensor([96 / 300, 64 / 200, 1.0])
    drawn = encode(seen[None, None], skeleton, input_size=(96, 64), map_size=(12, 8), sigma=0.1)
    fields = in_openposes_order(drawn.part_affinity_fields, name)
    network = FakeNetwork(name, (torch.cat([drawn.confidence_maps, torch.ones(1, 1, 8, 12)], 1), fields))
    teacher = stand_in(monkeypatch, network, height=64, batch_size=2)
    assert teacher.name == f"openpose:{name}"
    assert teacher.image_size(frame_size) == (96, 64)

    labels = teacher.label(TeacherRequest(np.arange(3), np.zeros((3, 64, 96, 3), np.uint8), frame_size))
    assert labels.keypoints.shape == (3, 1, joints, 3)
    found = labels.keypoints[:, 0, :, 2] > 0
    assert found.sum() >= 3 * (joints - 3)
    error = (labels.keypoints[:, 0, :, :2] - person[:, :2]).norm(dim=-1)[found]
    assert error.max() < 0.5 * 300 / 12  # half a cell
    assert labels.confidence_maps is not None
    assert labels.part_affinity_fields is not None
    torch.testing.assert_close(labels.confidence_maps, drawn.confidence_maps.expand(3, -1, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(labels.part_affinity_fields[:1], drawn.part_affinity_fields, atol=1e-5, rtol=0)
    assert [len(images) for images in network.seen] == [2, 1]


def test_frames_are_shown_in_bgr_between_minus_and_plus_a_half_padded_with_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = FakeNetwork("coco-18", blank("coco-18", 4, 6))
    teacher = stand_in(monkeypatch, network, height=32)
    image = np.broadcast_to(np.array([0, 128, 192], np.uint8), (1, 32, 44, 3))
    labels = teacher.label(TeacherRequest(np.arange(1), image, (88, 64)))
    assert network.seen[0].shape == (1, 3, 32, 48)
    assert network.seen[0].is_contiguous(memory_format=torch.channels_last)
    assert network.seen[0][0, :, 31, 43].tolist() == [0.25, 0.0, -0.5]
    assert not network.seen[0][..., 44:].any()
    assert labels.keypoints.shape == (1, 0, 18, 3)
    assert labels.confidence_maps is not None
    assert labels.confidence_maps.shape == (1, 18, 4, 6)  # 44 px are five cells and a half


def test_scales_are_shrunk_from_the_largest_and_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = blank("coco-18", 4, 5), blank("coco-18", 8, 10)
    small[0][:] = 0.1
    large[0][:] = 0.3
    network = FakeNetwork("coco-18", small, large)
    teacher = stand_in(monkeypatch, network, height=32, scales=[1.0, 2.0])
    assert teacher.image_size((80, 64)) == (80, 64)
    # A gradient, whose mean no resizing changes.
    image = np.broadcast_to(np.linspace(0, 255, 80).astype(np.uint8)[:, None], (1, 64, 80, 3))
    labels = teacher.label(TeacherRequest(np.arange(1), image, (80, 64)))
    half, whole = network.seen
    assert (half.shape, whole.shape) == ((1, 3, 32, 40), (1, 3, 64, 80))
    torch.testing.assert_close(half[..., 20], whole[0, :, ::2, 40:42].mean(-1)[None], atol=0.02, rtol=0)
    assert labels.confidence_maps is not None
    assert labels.confidence_maps.shape == (1, 18, 8, 10)  # the largest scale's
    torch.testing.assert_close(labels.confidence_maps, torch.full((1, 18, 8, 10), 0.2))


def test_a_scale_of_odd_sides_is_padded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    network = FakeNetwork("coco-18", blank("coco-18", 4, 5), blank("coco-18", 3, 4))
    teacher = stand_in(monkeypatch, network, height=32, scales=[1.0, 0.7])
    teacher.label(TeacherRequest(np.arange(1), np.full((1, 32, 40, 3), 255, np.uint8), (40, 32)))
    shrunk = network.seen[1]  # 28 x 22 px
    assert shrunk.shape == (1, 3, 24, 32)
    assert (shrunk[:, :, :22, :28] > 0.49).all()
    assert not shrunk[:, :, 22:].any()
    assert not shrunk[..., 28:].any()


def test_labels_are_the_networks_own_maps_and_can_be_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    network = OpenPoseBody25()
    tensors = to_tensors(random_weights(body_25()))
    network.load_state_dict({key: tensors[".".join(key.split(".")[-2:])] for key in network.state_dict()})
    teacher = stand_in(monkeypatch, network, height=32)
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3), dtype=np.uint8)
    labels = teacher.label(TeacherRequest(np.arange(1), image, (48, 32)))
    values = image[..., ::-1].astype(np.float32).transpose(0, 3, 1, 2) / 256 - 0.5
    with torch.no_grad():
        heat_maps, fields = network(torch.from_numpy(values))
    assert labels.confidence_maps is not None
    assert labels.part_affinity_fields is not None
    torch.testing.assert_close(labels.confidence_maps, heat_maps[:, :25], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(labels.part_affinity_fields.flatten(1, 2), fields[:, MAP_INDEX], atol=1e-4, rtol=1e-4)
    assert not labels.confidence_maps.is_inference()
    assert not labels.confidence_maps.requires_grad


def test_bfloat16_gives_nearly_the_same_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    maps = []
    for precision in ("32-true", "bf16-true"):
        torch.manual_seed(0)
        teacher = stand_in(monkeypatch, OpenPoseBody25(), height=32, precision=precision)
        maps.append(teacher.label(TeacherRequest(np.arange(1), image, (32, 32))).confidence_maps)
    assert maps[1] is not None
    assert maps[1].dtype == torch.float32
    torch.testing.assert_close(maps[1], maps[0], atol=0.01, rtol=0)


def test_no_frames_are_legal(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = stand_in(monkeypatch, FakeNetwork("body-25", blank("body-25", 4, 4)), height=32)
    none = teacher.label(TeacherRequest(np.arange(0), np.zeros((0, 32, 32, 3), np.uint8), (32, 32)))
    assert none.keypoints.shape == (0, 0, 25, 3)


def test_refuses_images_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = stand_in(monkeypatch, FakeNetwork("body-25", blank("body-25", 4, 4)), height=32)
    with pytest.raises(ValueError, match=r"expected \(frames, 32, 32, 3\)"):
        teacher.label(TeacherRequest(np.arange(1), np.zeros((1, 30, 32, 3), np.uint8), (64, 64)))
    with pytest.raises(ValueError, match="images None"):
        teacher.label(TeacherRequest(np.arange(1), None, (64, 64)))


def test_refuses_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_openpose", lambda path, name: FakeNetwork("coco-18"))
    with pytest.raises(UserError, match=r"teacher\.device=gpu"):
        OpenPoseTeacher("any.pth", device="gpu")


def test_its_configuration_builds_it(tmp_path: Path) -> None:
    node = OmegaConf.load(CONF / "teacher" / "openpose.yaml")
    torch.save(hollow_tensors(body_25()), tmp_path / "body.pth")
    node.path, node.height, node.scales = str(tmp_path / "body.pth"), 32, [1.0, 0.5]
    teacher = make_teacher(node, None)
    assert isinstance(teacher, OpenPoseTeacher)
    assert teacher.skeleton == get_skeleton("body-25")
    labels = teacher.label(TeacherRequest(np.arange(1), np.zeros((1, 32, 40, 3), np.uint8), (40, 32)))
    assert labels.keypoints.shape == (1, 0, 25, 3)
