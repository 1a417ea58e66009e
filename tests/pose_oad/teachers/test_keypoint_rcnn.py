from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.detection import KeypointRCNN, KeypointRCNN_ResNet50_FPN_Weights, keypointrcnn_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from pose_oad.teachers import keypoint_rcnn
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.keypoint_rcnn import KeypointRcnnTeacher
from pose_oad.tracking.errors import UserError


class FixedNetwork(nn.Module):
    """Finds, in every image, two people with given places, whose scores are 0.8 and 0.9, and nobody in a black one."""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.seen: list[list[torch.Size]] = []
        self.least = least

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        self.seen.append([image.shape for image in images])
        return [self._found() if image.any() else {k: v[:0] for k, v in self._found().items()} for image in images]

    def _found(self) -> dict[str, torch.Tensor]:
        location = torch.arange(17.0).view(1, 17, 1).repeat(2, 1, 3)
        location[1] += 20
        return {
            "boxes": torch.tensor([[0.0, 0, 17, 17], [20, 20, 37, 37]]), "scores": torch.tensor([0.8, 0.9]),
            "keypoints": location, "keypoints_scores": torch.tensor([math.log(3.0), -1.0]).view(2, 1).repeat(1, 17),
        }  # fmt: skip


def tiny(eps: float, size: int, min_score: float) -> KeypointRCNN:
    """A network of the same kind with few weights."""
    torch.manual_seed(0)
    trunk = nn.Conv2d(3, 8, 3, stride=8)
    trunk.out_channels = 8
    return KeypointRCNN(
        trunk, None, min_size=size, max_size=2 * size, box_score_thresh=min_score,
        rpn_anchor_generator=AnchorGenerator(((16,),), ((1.0,),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2), box_head=TwoMLPHead(8 * 49, 16),
        box_predictor=FastRCNNPredictor(16, 2), keypoint_roi_pool=MultiScaleRoIAlign(["0"], 14, 2),
        keypoint_head=KeypointRCNNHeads(8, (8,)), keypoint_predictor=KeypointRCNNPredictor(8, 17),
        box_detections_per_img=3,
    )  # fmt: skip


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights of the tiny network, which stands for the real one."""
    monkeypatch.setattr(keypoint_rcnn, "_network", tiny)
    path = tmp_path / "mine.pth"
    torch.save({"model": tiny(0, 64, 0).state_dict()}, path)
    return path


@pytest.fixture
def fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[FixedNetwork]]:
    built: list[FixedNetwork] = []

    def build(eps: float, size: int, min_score: float) -> FixedNetwork:
        built.append(FixedNetwork(min_score))
        return built[-1]

    monkeypatch.setattr(keypoint_rcnn, "_network", build)
    path = tmp_path / "fixed.pth"
    torch.save(FixedNetwork(0).state_dict(), path)
    return path, built


def ask(images: np.ndarray, frame_size: tuple[int, int]) -> TeacherRequest:
    return TeacherRequest(np.arange(len(images)), images, frame_size)


def test_outputs_become_people_in_px_of_the_frame(fixed: tuple[Path, list[FixedNetwork]]) -> None:
    path, built = fixed
    teacher = KeypointRcnnTeacher(str(path), size=40, min_score=0.6, min_joint_confidence=0.0)
    images = np.full((3, 40, 60, 3), 9, dtype=np.uint8)
    images[1] = 0
    labels = teacher.label(ask(images, (120, 120)))
    assert labels.keypoints.shape == (3, 2, 17, 3)
    # Joint 1 of the surest person is the pixel 21, whose centre is 21.5; the frame is 2 and 3 times as large.
    assert labels.keypoints[0, 0, 1].tolist() == pytest.approx([43, 64.5, 1 / (1 + math.e)])
    assert labels.keypoints[2, 1, 4].tolist() == pytest.approx([9, 13.5, 0.75])
    assert not labels.keypoints[1].any()
    [network] = built
    assert network.least == 0.6
    assert network.seen == [[(3, 40, 60)] * 2, [(3, 40, 60)]]
    assert not network.training


def test_unlikely_joints_were_not_found(fixed: tuple[Path, list[FixedNetwork]]) -> None:
    labels = KeypointRcnnTeacher(str(fixed[0]), min_joint_confidence=0.7).label(
        ask(np.ones((1, 8, 8, 3), dtype=np.uint8), (8, 8))
    )
    assert (labels.keypoints[0, :, :, 2] > 0).all(-1).tolist() == [False, True]
    assert not labels.keypoints[0, 0].any()


def test_frames_are_shrunk_but_never_enlarged(fixed: tuple[Path, list[FixedNetwork]]) -> None:
    teacher = KeypointRcnnTeacher(str(fixed[0]), size=300)
    assert teacher.image_size((1600, 1200)) == (400, 300)
    assert teacher.image_size((1200, 300)) == (500, 125)  # the longer side is 1333/800 of 300 px at most
    assert teacher.image_size((200, 100)) == (200, 100)


def test_random_weights_of_a_user_s_file_run(weights: Path) -> None:
    teacher = KeypointRcnnTeacher(str(weights), size=64, min_score=0.0, min_joint_confidence=0.0)
    assert (teacher.name, teacher.skeleton.name) == ("keypoint_rcnn:mine", "coco-17")
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    labels = teacher.label(ask(images, (192, 128)))
    assert labels.keypoints.shape == (2, 3, 17, 3)
    confidence = labels.keypoints[..., 2]
    assert ((confidence > 0) & (confidence < 1)).all()
    assert labels.keypoints.isfinite().all()
    again = KeypointRcnnTeacher(str(weights), size=64, min_score=0.0, min_joint_confidence=0.0)
    assert torch.equal(again.label(ask(images, (192, 128))).keypoints, labels.keypoints)
    empty = teacher.label(ask(images[:0], (192, 128)))
    assert empty.keypoints.shape == (0, 0, 17, 3)


def test_the_network_is_torchvision_s() -> None:
    with torch.device("meta"):
        theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        ours = keypoint_rcnn._network(0.0, 800, 0.05)
    expected = {name: value.shape for name, value in theirs.state_dict().items() if "num_batches" not in name}
    assert {name: value.shape for name, value in ours.state_dict().items()} == expected
    assert (ours.transform.min_size, ours.transform.max_size) == ((800,), 1333)
    assert ours.roi_heads.score_thresh == 0.05


def test_published_weights_are_read_as_tensors_alone(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def get_state_dict(self: Any, **options: Any) -> dict[str, torch.Tensor]:
        asked.update(options, name=self.name)
        return tiny(0, 64, 0).state_dict()

    monkeypatch.setattr(KeypointRCNN_ResNet50_FPN_Weights, "get_state_dict", get_state_dict)
    epsilons: list[float] = []

    def build(eps: float, size: int, min_score: float) -> KeypointRCNN:
        epsilons.append(eps)
        return tiny(eps, size, min_score)

    monkeypatch.setattr(keypoint_rcnn, "_network", build)
    for name in ("DEFAULT", "COCO_LEGACY"):
        KeypointRcnnTeacher(name)
    assert asked == {"name": "COCO_LEGACY", "weights_only": True, "check_hash": True, "progress": True}
    assert epsilons == [0.0, 1e-5]

    # The same weights in a file, whatever its name: they are known by their content.
    for digest, eps in (("fc266e95" + "0" * 56, 0.0), ("0" * 64, 1e-5)):
        monkeypatch.setattr(keypoint_rcnn, "content_hash", lambda path, digest=digest: digest)
        KeypointRcnnTeacher(str(weights))
        assert epsilons[-1] == eps

    def unreachable(self: Any, **options: Any) -> None:
        raise URLError("no route")

    monkeypatch.setattr(KeypointRCNN_ResNet50_FPN_Weights, "get_state_dict", unreachable)
    with pytest.raises(UserError, match=r"teacher\.weights=DEFAULT: .*no route"):
        KeypointRcnnTeacher("DEFAULT")


def test_a_damaged_file_is_named(weights: Path, tmp_path: Path) -> None:
    whole = weights.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path = tmp_path / "bad.pth"
    for content in (b"", whole[: len(whole) // 2], bytes(flipped), b"no weights" * 100):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"teacher\.weights=.*bad\.pth"):
            KeypointRcnnTeacher(str(path))
    for wrong in ([1, 2], {}, {"epoch": 3}, {"model": {"conv.weight": torch.zeros(2)}}):
        torch.save(wrong, path)
        with pytest.raises(UserError, match=r"teacher\.weights=.*bad\.pth: "):
            KeypointRcnnTeacher(str(path))
    torch.save(nn.Linear(2, 2), path)  # a whole module: its classes would have to be unpickled
    with pytest.raises(UserError, match=r"bad\.pth: damaged"):
        KeypointRcnnTeacher(str(path))


def test_bad_values_are_refused(weights: Path) -> None:
    for wrong in ("best", "nowhere.pth"):
        with pytest.raises(UserError, match=rf"teacher\.weights={wrong}.*COCO_V1"):
            KeypointRcnnTeacher(wrong)
    with pytest.raises(UserError, match=r"teacher\.device=abacus"):
        KeypointRcnnTeacher(str(weights), device="abacus")
