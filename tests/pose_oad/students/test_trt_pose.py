from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student, load_student
from pose_oad.students.trt_pose import to_trt_pose, topology, topology_file
from pose_oad.tracking.errors import UserError
from tests.trt_pose import SIDES, reference, write_reference

BACKBONES = sorted(SIDES)

# NVIDIA's human_pose.json: joints, and limbs as pairs of joint numbers from 1.
KEYPOINTS = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle", "neck",
]  # fmt: skip
SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 8], [7, 9], [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4],
    [3, 5], [4, 6], [5, 7], [18, 1], [18, 6], [18, 7], [18, 12], [18, 13],
]  # fmt: skip

BODY = StudentConfig("mine", "resnet18", input_size=(96, 64), head="attention", head_channels=256)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A state dict of each reference network with random weights."""
    folder = tmp_path_factory.mktemp("trt_pose")
    return {backbone: write_reference(folder, backbone) for backbone in BACKBONES}


@pytest.fixture
def tensors(files: dict[str, Path]) -> dict[str, torch.Tensor]:
    return torch.load(files["resnet18"], weights_only=True)


def saved(contents: Any, folder: Path) -> Path:
    path = folder / "a.pth"
    torch.save(contents, path)
    return path


def assert_same_maps(network: nn.Module, student: PoseStudent, size: tuple[int, int] = (64, 64)) -> None:
    """Compare maps on noise; a student's fields have x first, trt_pose's the row component."""
    images = torch.randn(2, 3, size[1], size[0], generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        maps, fields = network.eval()(images)
        own_maps, own_fields = student.eval()(images)
    assert maps.abs().max() > 0.05
    assert fields.abs().max() > 0.05
    torch.testing.assert_close(own_maps, maps, rtol=0, atol=1e-5)
    torch.testing.assert_close(own_fields[:, :, 0], fields[:, 1::2], rtol=0, atol=1e-5)
    torch.testing.assert_close(own_fields[:, :, 1], fields[:, 0::2], rtol=0, atol=1e-5)


def test_joints_and_limbs_stand_in_the_order_of_human_pose_json() -> None:
    student = PoseStudent(replace(BODY, skeleton="trt-pose-18"))
    written = topology(student)
    assert written["keypoints"] == KEYPOINTS
    assert written["skeleton"] == SKELETON


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_same_input_gives_the_same_maps(files: dict[str, Path], backbone: str) -> None:
    student = load_student(files[backbone])
    side = SIDES[backbone]
    assert student.config == StudentConfig(
        f"trt_pose_{backbone}", backbone, "trt-pose-18", (side, side), "attention", 256, 0.025, False, "squash"
    )
    network = reference(backbone)
    network.load_state_dict(torch.load(files[backbone], weights_only=True))
    assert_same_maps(network, student)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_written_loads_strictly_and_gives_the_same_maps(backbone: str) -> None:
    torch.manual_seed(1)
    student = build_student(replace(BODY, backbone=backbone, skeleton="trt-pose-18"))
    network = reference(backbone)
    network.load_state_dict(to_trt_pose(student))  # refuses a tensor too few, too many or of another shape
    assert_same_maps(network, student)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_names_and_shapes_are_the_published_ones(files: dict[str, Path], real_data: Path, backbone: str) -> None:
    listed = json.loads((real_data / "trt_pose_state_dict.json").read_text())[f"{backbone}_baseline_att"]
    written = to_trt_pose(load_student(files[backbone]))
    assert {name: list(tensor.shape) for name, tensor in written.items()} == listed
    assert {name: list(tensor.shape) for name, tensor in reference(backbone).state_dict().items()} == listed


def test_there_and_back_no_weight_changes(tensors: dict[str, torch.Tensor], files: dict[str, Path]) -> None:
    written = to_trt_pose(load_student(files["resnet18"]))
    assert set(written) == set(tensors)
    for name, tensor in written.items():
        assert torch.equal(tensor, torch.zeros_like(tensor) if ".fc." in name else tensors[name]), name


@pytest.mark.parametrize("wrapped", ["model", "state_dict", "module", "without classifier"])
def test_other_ways_to_keep_the_same_tensors(
    tensors: dict[str, torch.Tensor], files: dict[str, Path], tmp_path: Path, wrapped: str
) -> None:
    contents: dict[str, Any] = {
        "model": {"model": tensors, "epoch": 3},
        "state_dict": {"state_dict": tensors},
        "module": {f"module.{name}": value for name, value in tensors.items()},
        "without classifier": {name: value for name, value in tensors.items() if ".fc." not in name},
    }[wrapped]
    loaded, plain = load_student(saved(contents, tmp_path)), load_student(files["resnet18"])
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), plain.state_dict().values(), strict=True)
    )


def test_another_joint_set_keeps_what_it_shares(files: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(5)
    with caplog.at_level(logging.INFO):
        student = load_student(files["resnet18"], BODY)
    assert (student.config, student.training) == (BODY, False)
    assert "12 of 12 joints and 9 of 12 limbs of body-12 are kept from trt-pose-18" in caplog.text
    assert "fresh: left_shoulder-left_hip, right_shoulder-right_hip, left_shoulder-right_shoulder" in caplog.text
    assert "made for resize_mode=squash, used with resize_mode=letterbox" in caplog.text
    published = load_student(files["resnet18"], replace(BODY, skeleton="trt-pose-18"))
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        (maps, fields), (all_maps, all_fields) = student(images), published(images)
    mine, theirs = get_skeleton("body-12"), get_skeleton("trt-pose-18")
    for at, joint in enumerate(mine.joints):
        torch.testing.assert_close(maps[:, at], all_maps[:, theirs.joints.index(joint)])
    for at, limb in enumerate(mine.limb_names):
        if limb in theirs.limb_names:
            torch.testing.assert_close(fields[:, at], all_fields[:, theirs.limb_names.index(limb)])


def test_another_network_is_refused_in_one_line(files: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"holds backbone=resnet18; expected backbone=densenet121 \(student=mine\)"):
        load_student(files["resnet18"], replace(BODY, backbone="densenet121"))
    with pytest.raises(UserError, match=r"holds head=attention; expected head=light"):
        load_student(files["resnet18"], replace(BODY, head="light"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"1.paf_att.bias": None}, r"its tensor 1\.paf_att\.bias is missing; expected shape \(256,\)"),
        ({"0.resnet.bn1.weight": torch.zeros(3)}, r"0\.resnet\.bn1\.weight has shape \(3,\); expected shape \(64,\)"),
        ({"1.cmap_conv.bias": torch.zeros(12)}, r"cmap_conv\.bias has shape \(12,\); expected shape \(18,\)"),
        ({"1.paf_conv.bias": "no tensor"}, r"1\.paf_conv\.bias is missing"),
        ({"1.paf_conv.bias": torch.zeros(42).to_sparse()}, r"damaged: its tensor 1\.paf_conv\.bias"),
        ({"1.paf_conv.bias": torch.zeros(42, dtype=torch.complex64)}, r"damaged: its tensor 1\.paf_conv\.bias"),
        ({"1.cmap_att.bias": torch.full((256,), torch.nan)}, r"cmap_att\.bias .*finite"),
        ({"0.resnet.layer1.0.conv3.weight": torch.zeros(1)}, r"conv3\.weight' is not one .* expected densenet121_base"),
    ],
)
def test_tensors_of_another_network_are_named(
    tensors: dict[str, torch.Tensor], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    changed = {name: value for name, value in (tensors | change).items() if value is not None}
    with pytest.raises(UserError, match=rf"checkpoint .*a\.pth: .*{said}"):
        load_student(saved(changed, tmp_path))


@pytest.mark.parametrize("change", [{"skeleton": "data"}, {"input_size": [223, 224]}])
def test_a_description_of_which_there_is_no_network_is_named(
    tensors: dict[str, torch.Tensor], tmp_path: Path, change: dict[str, Any]
) -> None:
    path = saved(tensors, tmp_path)
    described = replace(BODY, skeleton="trt-pose-18").to_dict() | change
    topology_file(path).write_text(json.dumps({"student": described}))
    with pytest.raises(UserError, match=rf"a\.topology\.json: .*{next(iter(change))}="):
        load_student(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_or_empty_file_is_refused(tensors: dict[str, torch.Tensor], tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "a.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    for length in (0, 1, 100, 5000, len(whole) // 2, len(whole) - 1000):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"checkpoint .*a\.pth: damaged"):
            load_student(path)


class _Code:
    """What pickle would run on loading."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_flipped_bit_in_a_weight_is_noticed(files: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(files["resnet18"].read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.pth: damaged.*\(the checksum of .* is wrong\)"):
        load_student(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_does_not_run(tensors: dict[str, torch.Tensor], tmp_path: Path, legacy: bool) -> None:
    path, mark = tmp_path / "a.pth", tmp_path / "ran"
    torch.save(dict(tensors) | {"evil": _Code(mark)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"a\.pth: damaged"):
        load_student(path)
    assert not mark.exists()


def described(student: PoseStudent, folder: Path) -> Path:
    path = saved(to_trt_pose(student), folder)
    topology_file(path).write_text(json.dumps(topology(student)))
    return path


def test_a_joint_set_of_ones_own_comes_back_by_its_topology(tmp_path: Path) -> None:
    student = build_student(replace(BODY, resize_mode="squash"))
    path = described(student, tmp_path)
    assert topology_file(path).name == "a.topology.json"
    loaded = load_student(path)
    assert loaded.config == student.config
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), student.parameters(), strict=True))
    network = reference("resnet18", joints=12, limbs=12)
    network.load_state_dict(torch.load(path, weights_only=True))
    assert_same_maps(network, student)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"student": 3}', b'{"student": {"name": "a"}}', b"[" * 100_000]
)
def test_a_damaged_topology_is_named(tmp_path: Path, content: bytes) -> None:
    path = described(build_student(BODY), tmp_path)
    topology_file(path).write_bytes(content)
    with pytest.raises(UserError, match=r"a\.topology\.json: "):
        load_student(path)


def test_a_topology_of_another_network_is_named(tmp_path: Path) -> None:
    path = described(build_student(BODY), tmp_path)
    values = topology(build_student(BODY))
    values["student"]["backbone"] = "densenet121"
    topology_file(path).write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"a\.topology\.json: .*a resnet18_baseline_att.*backbone=densenet121"):
        load_student(path)


@pytest.mark.parametrize("change", [{"head": "light"}, {"head_channels": 64}, {"backbone": "resnet34"}])
def test_a_student_that_trt_pose_does_not_have_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"student mine: backbone=resnet.*trt_pose has densenet121_baseline_att or resnet"
    ):
        to_trt_pose(build_student(replace(BODY, **change)))
