from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers import vitpose
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.keypoint_rcnn import People
from pose_oad.teachers.vitpose import VitPoseTeacher
from pose_oad.tracking.errors import RefusedError, UserError

COCO = get_skeleton("coco-17").joints


class FakeProcessor:
    """Cuts nothing: a crop holds its box; a pose has joint j at the box's corner + j, height 1.2 or -0.1."""

    def __call__(self, images: Any, boxes: Any, return_tensors: str) -> dict[str, torch.Tensor]:
        assert len(images) == len(boxes)
        assert return_tensors == "pt"
        return {"pixel_values": torch.tensor([box for found in boxes for box in found])}

    def post_process_pose_estimation(self, outputs: Any, boxes: Any) -> list[list[dict[str, torch.Tensor]]]:
        maps = iter(outputs.heatmaps)
        return [[self._pose(next(maps)) for _ in found] for found in boxes]

    def _pose(self, box: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = torch.full((17,), 0.4)
        scores[0], scores[1], scores[2] = 1.2, -0.1, 0.1
        return {"keypoints": box[:2] + torch.arange(17.0).unsqueeze(1), "scores": scores}


class FakeNetwork(nn.Module):
    """Stands for the network: its heat maps are its input."""

    def __init__(self, labels: list[str], experts: int = 1) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            backbone_config=SimpleNamespace(num_experts=experts),
        )
        self.calls: list[dict[str, torch.Tensor]] = []

    def forward(self, **inputs: torch.Tensor) -> SimpleNamespace:
        self.calls.append(inputs)
        return SimpleNamespace(heatmaps=inputs["pixel_values"])


def install(monkeypatch: pytest.MonkeyPatch, network: nn.Module) -> dict[str, Any]:
    """Put a package `transformers` in place that loads a network; return what it is asked for."""
    asked: dict[str, Any] = {}

    def load(model: str, **options: Any) -> nn.Module:
        asked.update(options, model=model)
        if model == "missing":
            raise OSError("no such model\nanywhere")
        return network

    module = ModuleType("transformers")
    module.VitPoseImageProcessor = SimpleNamespace(from_pretrained=lambda model: FakeProcessor())  # type: ignore[attr-defined]
    module.VitPoseForPoseEstimation = SimpleNamespace(from_pretrained=load)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", module)
    return asked


def ask(frames: int, size: tuple[int, int], frame_size: tuple[int, int]) -> TeacherRequest:
    return TeacherRequest(np.arange(frames), np.zeros((frames, size[1], size[0], 3), dtype=np.uint8), frame_size)


def test_the_whole_frame_is_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    network = FakeNetwork([f"LABEL_{n}" for n in range(17)])
    asked = install(monkeypatch, network)
    teacher = VitPoseTeacher("somebody/vitpose-tiny", detector="frame", size=50)
    assert asked == {"model": "somebody/vitpose-tiny", "use_safetensors": True}
    assert teacher.name == "vitpose:vitpose-tiny"
    assert teacher.image_size((200, 100)) == (100, 50)
    labels = teacher.label(ask(3, (100, 50), (200, 100)))
    assert labels.keypoints.shape == (3, 1, 17, 3)
    assert labels.keypoints[2, 0, 4].tolist() == pytest.approx([9, 9, 0.4])  # the pixel 4, centre 4.5, twice as large
    assert labels.keypoints[2, 0, 0].tolist() == [1, 1, 1]
    assert not labels.keypoints[2, 0, 1:3].any()  # less than 0.3
    assert [call["pixel_values"].tolist() for call in network.calls] == [[[0, 0, 100, 50]] * 2, [[0, 0, 100, 50]]]
    assert teacher.label(ask(0, (100, 50), (200, 100))).keypoints.shape == (0, 0, 17, 3)


def test_people_come_from_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeDetector:
        def __init__(self, *arguments: Any) -> None:
            self.arguments = arguments

        def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
            return (100, 50)

        def find(self, images: np.ndarray) -> list[People]:
            boxes = torch.tensor([[10.0, 20, 40, 45], [50, 5, 60, 15]])
            return [People(boxes[: 2 - number], torch.zeros(0)) for number in range(len(images))]

    network = FakeNetwork(["Nose", "L_Eye", "R_Eye", *COCO[3:]], experts=6)
    install(monkeypatch, network)
    monkeypatch.setattr(vitpose, "KeypointRcnn", FakeDetector)
    teacher = VitPoseTeacher("tiny", detector_weights="DEFAULT", batch_size=3, min_joint_confidence=0.0)
    labels = teacher.label(ask(3, (100, 50), (100, 50)))
    assert labels.keypoints.shape == (3, 2, 17, 3)
    assert labels.keypoints[:, :, 0, 0].tolist() == [[10.5, 50.5], [10.5, 0], [0, 0]]
    assert labels.keypoints[0, 0, :3, 2].tolist() == pytest.approx([1, 0, 0.1])
    [call] = network.calls
    assert call["pixel_values"].tolist() == [[10, 20, 30, 25], [50, 5, 10, 10], [10, 20, 30, 25]]
    assert call["dataset_index"].tolist() == [0, 0, 0]  # COCO's expert
    nobody = ask(3, (100, 50), (100, 50))
    monkeypatch.setattr(FakeDetector, "find", lambda self, images: [People(torch.zeros(0, 4), torch.zeros(0))] * 3)
    assert teacher.label(nobody).keypoints.shape == (3, 0, 17, 3)


def test_a_missing_package_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"pip install 'pose_oad\[vitpose\]'"):
        VitPoseTeacher("tiny", detector="frame")


def test_bad_values_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, FakeNetwork(["Nose", *COCO[1:]]))
    with pytest.raises(UserError, match=r"teacher\.model=missing: .*no such model anywhere"):
        VitPoseTeacher("missing")
    with pytest.raises(RefusedError, match=r"detector_weights=None"):
        VitPoseTeacher("tiny")
    with pytest.raises(RefusedError, match=r"skeleton=12 joints: .*17 joints of tiny"):
        VitPoseTeacher("tiny", skeleton="body-12")
    for key, value in (("device", "abacus"), ("skeleton", "coco-16")):
        with pytest.raises(UserError, match=f"{key}={value}"):
            VitPoseTeacher("tiny", **{"detector": "frame", key: value})  # type: ignore[arg-type]


def test_another_order_of_joints_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeNetwork(list(reversed(COCO))))
    with pytest.raises(RefusedError, match=r"skeleton=nose, .*tiny: right_ankle, "):
        VitPoseTeacher("tiny", detector="frame")


def test_a_real_network_with_random_weights(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra vitpose is not installed")
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        out_features=["stage2"],
    )  # fmt: skip
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=17)
    torch.manual_seed(0)
    transformers.VitPoseForPoseEstimation(config).save_pretrained(tmp_path)
    transformers.VitPoseImageProcessor(size={"height": 64, "width": 48}).save_pretrained(tmp_path)
    teacher = VitPoseTeacher(str(tmp_path), detector="frame", min_joint_confidence=0.0)
    request = ask(3, (120, 100), (240, 200))
    labels = teacher.label(request)
    assert labels.keypoints.shape == (3, 1, 17, 3)
    assert (labels.keypoints[..., 2] > 0).any()
    assert labels.keypoints.isfinite().all()
    assert torch.allclose(labels.keypoints[0], labels.keypoints[2], atol=1e-3)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"teacher\.model="):
        VitPoseTeacher(str(tmp_path), detector="frame")
