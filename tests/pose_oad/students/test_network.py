from __future__ import annotations

import pytest
import timm
import torch
import torchvision

from pose_oad.poses.skeleton import SKELETONS, Skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student
from pose_oad.tracking.errors import RefusedError, UserError


def _small(**values: object) -> StudentConfig:
    settings = {"name": "tiny", "backbone": "mobilenetv4_conv_small_050", "head_channels": 16, "input_size": (96, 64)}
    return StudentConfig(**{**settings, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("backbone", "head"),
    [("mobilenetv4_conv_small_050", "light"), ("resnet18", "attention"), ("convnext_atto", "light")],
)
def test_maps_have_a_quarter_of_the_resolution(backbone: str, head: str) -> None:
    student = build_student(_small(backbone=backbone, head=head)).eval()
    cmaps, pafs = student(torch.zeros(2, 3, 64, 96))
    assert student.map_size == (24, 16)
    assert cmaps.shape == (2, 12, 16, 24)
    assert pafs.shape == (2, 12, 2, 16, 24)


def test_normalised_white_and_black_are_imagenets() -> None:
    student = build_student(_small())
    frames = torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
    frames[1] = 255
    images = student.normalise(frames)
    assert images.shape == (2, 3, 64, 96)
    assert images.is_contiguous(memory_format=torch.channels_last)
    black, white = images[0, :, 5, 5], images[1, :, 5, 5]
    torch.testing.assert_close(black, torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))
    torch.testing.assert_close(white, torch.tensor([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]))


def test_colours_keep_their_channel_and_pixels_their_place() -> None:
    student = build_student(_small())
    frames = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    frames[0, 10, 20, 0] = 255
    images = student.normalise(frames)
    assert images[0, 0, 10, 20] == images[0, 0].max()
    assert images[0, 0, 10, 20] > images[0, 0, 10, 21]
    assert len(images[0, 1].unique()) == 1


@pytest.mark.parametrize(
    "frames",
    [
        torch.zeros(1, 64, 96, 3),
        torch.zeros(1, 96, 64, 3, dtype=torch.uint8),
        torch.zeros(64, 96, 3, dtype=torch.uint8),
    ],
)
def test_other_frames_are_refused(frames: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(n, 64, 96, 3\)"):
        build_student(_small()).normalise(frames)


def test_a_hundred_percent_of_the_network_learns() -> None:
    student = build_student(_small())
    cmaps, pafs = student(torch.randn(2, 3, 64, 96))
    (cmaps.square().mean() + pafs.square().mean()).backward()
    assert [name for name, weight in student.named_parameters() if weight.grad is None] == []


def test_densenet_features_are_torchvisions() -> None:
    """The published weights of trt_pose were made on ``torchvision.densenet121().features``, without a last ReLU."""
    torch.manual_seed(0)
    reference = torchvision.models.densenet121(weights=None).features.eval()
    student = build_student(_small(backbone="densenet121", head="attention", head_channels=8)).eval()
    weights = {f"features_{name}": value for name, value in reference.state_dict().items()}
    student.backbone.load_state_dict(weights)
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(student.backbone(images)[-1], reference(images), atol=1e-5, rtol=1e-4)


def test_the_attention_head_multiplies_sigmoid_and_tanh_in() -> None:
    student = build_student(_small(backbone="resnet18", head="attention", head_channels=4)).eval()
    head = student.head
    features = torch.randn(1, 512, 2, 3)
    with torch.inference_mode():
        up_cmap, up_paf = head.cmap_up(features), head.paf_up(features)
        cmaps, pafs = head([features])
        expected = head.cmap_conv(up_cmap / (1 + (-head.cmap_att(up_cmap)).exp()))
        torch.testing.assert_close(cmaps, expected)
        torch.testing.assert_close(pafs.flatten(1, 2), head.paf_conv(up_paf * head.paf_att(up_paf).tanh()))


def test_the_attention_head_has_the_published_tensors(real_data: object) -> None:
    import json
    from pathlib import Path

    published = json.loads((Path(str(real_data)) / "trt_pose_state_dict.json").read_text())["resnet18_baseline_att"]
    student = build_student(
        _small(backbone="resnet18", head="attention", head_channels=256, skeleton="trt-pose-18", input_size=(224, 224))
    )
    ours = {f"1.{name}": list(value.shape) for name, value in student.head.state_dict().items()}
    assert ours == {name: shape for name, shape in published.items() if name.startswith("1.")}
    trunk = {f"0.resnet.{name}": list(value.shape) for name, value in student.backbone.state_dict().items()}
    assert trunk.items() <= published.items()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"backbone": "resnet8"}, r"student\.backbone=resnet8: .*did you mean 'resnet18'"),
        ({"backbone": "vit_tiny_patch16_224"}, "student.backbone=vit_tiny_patch16_224"),
        ({"head": "lihgt"}, r"student\.head=lihgt: expected attention or light"),
        ({"skeleton": "body12"}, "did you mean 'body-12'"),
        ({"input_size": (100, 64)}, r"student\.input_size=\[100, 64\]: .*multiples of 32 px"),
    ],
)
def test_impossible_students_are_refused(values: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        build_student(_small(**values))


def test_a_joint_set_without_limbs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SKELETONS, "points", Skeleton("points", ("nose", "neck")))
    with pytest.raises(RefusedError, match=r"skeleton=points: "):
        build_student(_small(skeleton="points"))


def test_descriptions_survive_the_way_through_plain_values() -> None:
    config = _small()
    assert StudentConfig.from_dict(config.to_dict()) == config
    assert isinstance(config.to_dict()["input_size"], list)
    with pytest.raises(UserError, match=r"student\.backbon=resnet18: unknown key; did you mean 'backbone'"):
        StudentConfig.from_dict({"name": "x", "backbon": "resnet18"})
    with pytest.raises(UserError, match=r"student\.backbone: missing"):
        StudentConfig.from_dict({"name": "x"})


def test_every_timm_feature_level_the_light_head_wants_is_used() -> None:
    student = build_student(_small(backbone="resnet18"))
    assert student.backbone.feature_info.reduction() == [4, 8, 16, 32]
    assert isinstance(student, PoseStudent)
    assert timm.is_model(student.config.backbone)
