from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from pycocotools.coco import COCO

from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.onnx import _FIELD_CHANNELS, OnnxTeacher
from pose_oad.tracking.errors import RefusedError, UserError

# OpenPose's own table: each limb as joint numbers, and the channels of its field's x and y.
OPENPOSE_FIELDS = {
    (1, 2): (12, 13), (1, 5): (20, 21), (2, 3): (14, 15), (3, 4): (16, 17), (5, 6): (22, 23), (6, 7): (24, 25),
    (1, 8): (0, 1), (8, 9): (2, 3), (9, 10): (4, 5), (1, 11): (6, 7), (11, 12): (8, 9), (12, 13): (10, 11),
    (1, 0): (28, 29), (0, 14): (30, 31), (14, 16): (34, 35), (0, 15): (32, 33), (15, 17): (36, 37),
    (2, 16): (18, 19), (5, 17): (26, 27),
}  # fmt: skip


def write_network(
    path: Path,
    *,
    stride: int = 8,
    heat_maps: int = 19,
    names: tuple[str, str] = ("heatmaps19", "pafs38"),
    batch: int | str = "n",
    size: tuple[int | str, int | str] = ("h", "w"),
) -> Path:
    """Write a network that puts the mean of blue in every heat map and the mean of red in every field channel."""
    nodes = [helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[stride] * 2, strides=[stride] * 2)]
    weights = []
    for name, channels, colour in ((names[0], heat_maps, 0), (names[1], 38, 2)):
        kernel = np.zeros((channels, 3, 1, 1), dtype=np.float32)
        kernel[:, colour] = 1 / 255
        weights.append(onnx.numpy_helper.from_array(kernel, f"{name}_weight"))
        nodes.append(helper.make_node("Conv", ["small", f"{name}_weight"], [name]))
    shape = [batch, 3, *size]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, None, None, None]) for name in names]
    graph = helper.make_graph(nodes, "network", [image], outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


class FakeNetwork:
    """Stands for the network: puts out given maps, in OpenPose's channel order, and keeps what it was shown."""

    def __init__(self, heat_maps: torch.Tensor, fields: torch.Tensor) -> None:
        self.heat_maps, self.fields = heat_maps, fields
        self.seen: list[np.ndarray] = []

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        self.seen.append(images)
        return [np.repeat(part.numpy(), len(images), axis=0) for part in (self.heat_maps, self.fields)]


def show(teacher: OnnxTeacher, network: FakeNetwork) -> FakeNetwork:
    """Put a stand-in in the place of a teacher's network."""
    vars(teacher)["_network"] = network
    return network


def test_field_channels_follow_openposes_table() -> None:
    limbs = get_skeleton("coco-18").limbs
    assert [channel for limb in limbs for channel in OPENPOSE_FIELDS[limb]] == _FIELD_CHANNELS


def test_finds_a_drawn_person_in_px_of_the_frame(tmp_path: Path) -> None:
    teacher = OnnxTeacher(str(write_network(tmp_path / "net.onnx")), height=64, batch_size=2)
    skeleton = teacher.skeleton
    # A frame of 300 x 200 px is seen at 96 x 64 px; the network's input is padded to whole cells of 8 px: 12 x 8.
    frame_size = (300, 200)
    assert teacher.image_size(frame_size) == (96, 64)
    generator = torch.Generator().manual_seed(0)
    person = torch.rand(18, 3, generator=generator) * torch.tensor([200.0, 120.0, 0.0]) + torch.tensor([50.0, 40.0, 1])
    seen = person * torch.tensor([96 / 300, 64 / 200, 1.0])
    drawn = encode(seen[None, None], skeleton, input_size=(96, 64), map_size=(12, 8), sigma=0.1)
    fields = torch.zeros(1, 38, 8, 12)
    fields[:, _FIELD_CHANNELS] = drawn.part_affinity_fields.flatten(1, 2)
    network = show(teacher, FakeNetwork(torch.cat([drawn.confidence_maps, torch.ones(1, 1, 8, 12)], 1), fields))

    labels = teacher.label(TeacherRequest(np.arange(3), np.zeros((3, 64, 96, 3), np.uint8), frame_size))
    assert labels.keypoints.shape == (3, 1, 18, 3)
    found = labels.keypoints[:, 0, :, 2] > 0
    assert found.sum() >= 3 * 15
    error = (labels.keypoints[:, 0, :, :2] - person[:, :2]).norm(dim=-1)[found]
    assert error.max() < 0.5 * 300 / 12  # half a cell
    torch.testing.assert_close(labels.confidence_maps, drawn.confidence_maps.expand(3, -1, -1, -1), atol=1e-5, rtol=0)
    assert labels.part_affinity_fields is not None
    assert labels.part_affinity_fields.shape == (3, 19, 2, 8, 12)
    assert [len(images) for images in network.seen] == [2, 1]


def test_shows_the_network_bgr_padded_right_and_below_with_grey(tmp_path: Path) -> None:
    teacher = OnnxTeacher(str(write_network(tmp_path / "net.onnx")), height=32)
    network = show(teacher, FakeNetwork(torch.zeros(1, 19, 4, 6), torch.zeros(1, 38, 4, 6)))
    image = np.broadcast_to(np.array([10, 20, 30], np.uint8), (1, 32, 44, 3))
    labels = teacher.label(TeacherRequest(np.arange(1), image, (88, 64)))
    assert network.seen[0].shape == (1, 3, 32, 48)
    assert network.seen[0][0, :, 0, 0].tolist() == [30, 20, 10]
    assert network.seen[0][0, :, 0, 44:].tolist() == [[128] * 4] * 3
    assert labels.keypoints.shape == (1, 0, 18, 3)


def test_input_may_be_rgb_and_normalised(tmp_path: Path) -> None:
    path = str(write_network(tmp_path / "net.onnx"))
    teacher = OnnxTeacher(path, height=32, channels="rgb", mean=128, scale=256)
    network = show(teacher, FakeNetwork(torch.zeros(1, 19, 4, 4), torch.zeros(1, 38, 4, 4)))
    teacher.label(TeacherRequest(np.arange(1), np.full((1, 32, 32, 3), [0, 128, 192], np.uint8), (32, 32)))
    assert network.seen[0][0, :, 0, 0].tolist() == [-0.5, 0.0, 0.25]


def test_maps_are_cut_back_to_the_frame(tmp_path: Path) -> None:
    # The frame is blue and the padding grey: maps that still held padding would fall towards 0.5 at the right.
    teacher = OnnxTeacher(str(write_network(tmp_path / "net.onnx")), height=32)
    image = np.zeros((1, 32, 36, 3), np.uint8)
    image[..., 2] = 255
    labels = teacher.label(TeacherRequest(np.arange(1), image, (36, 32)))
    assert labels.confidence_maps is not None
    assert labels.confidence_maps.shape == (1, 18, 4, 4)  # 36 px are four cells and a half
    assert labels.confidence_maps[..., :3].sub(labels.confidence_maps[..., :1]).abs().max() < 0.1


def test_no_frames_and_no_people_are_legal(tmp_path: Path) -> None:
    teacher = OnnxTeacher(str(write_network(tmp_path / "net.onnx")), height=32)
    none = teacher.label(TeacherRequest(np.arange(0), np.zeros((0, 32, 32, 3), np.uint8), (32, 32)))
    assert none.keypoints.shape == (0, 0, 18, 3)
    empty = teacher.label(TeacherRequest(np.arange(2), np.zeros((2, 32, 32, 3), np.uint8), (32, 32)))
    assert empty.keypoints.shape == (2, 0, 18, 3)


def test_refuses_images_of_another_size(tmp_path: Path) -> None:
    teacher = OnnxTeacher(str(write_network(tmp_path / "net.onnx")), height=32)
    with pytest.raises(ValueError, match=r"expected \(frames, 32, 32, 3\)"):
        teacher.label(TeacherRequest(np.arange(1), np.zeros((1, 30, 32, 3), np.uint8), (64, 64)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heat_maps": 25}, r"gives \[\(1, 25, 8, 12\), \(1, 38, 8, 12\)\]"),
        ({"stride": 4}, r"gives \[\(1, 19, 16, 24\)"),
        ({"names": ("maps", "fields")}, r"outputs heatmaps19 .* it has .* maps .*, fields"),
        ({"size": (256, 256)}, r"H and W free; it has the inputs image \[.*256, 256\]"),
    ],
)
def test_refuses_another_network(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write_network(tmp_path / "other.onnx", **change)
    with pytest.raises(RefusedError, match=message) as caught:
        OnnxTeacher(str(path))
    assert f"path={path}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_what_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("not a network")
    with pytest.raises(UserError, match=r"teacher\.path=.*notes\.onnx: "):
        OnnxTeacher(str(path))
    with pytest.raises(UserError, match=r"teacher\.path=.*absent\.onnx: "):
        OnnxTeacher(str(tmp_path / "absent.onnx"))


def test_network_of_one_frame_at_a_time_wants_batches_of_one(tmp_path: Path) -> None:
    path = str(write_network(tmp_path / "one.onnx", batch=1))
    with pytest.raises(RefusedError, match=r"batch_size=8: expected 1"):
        OnnxTeacher(path)
    teacher = OnnxTeacher(path, batch_size=1, height=32)
    labels = teacher.label(TeacherRequest(np.arange(2), np.zeros((2, 32, 32, 3), np.uint8), (32, 32)))
    assert len(labels.keypoints) == 2


@pytest.mark.slow
def test_average_precision_on_photographs(real_data: Path) -> None:
    path = real_data / "teacher" / "human-pose-estimation-0001.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    teacher = OnnxTeacher(str(path), height=368)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(real_data / "coco" / "person_keypoints.json")
    results = []
    for info in truth.loadImgs(truth.getImgIds()):
        image = np.asarray(Image.open(real_data / "coco" / "images" / info["file_name"]).convert("RGB"))
        frame_size = (info["width"], info["height"])
        small = cv2.resize(image, teacher.image_size(frame_size), interpolation=cv2.INTER_AREA)
        people = teacher.label(TeacherRequest(np.arange(1), small[None], frame_size)).keypoints[0]
        results += to_results(people, people[..., 2].sum(-1), teacher.skeleton, info["id"])
    assert average_precision(truth, results, teacher.skeleton)["AP"] >= 0.33
