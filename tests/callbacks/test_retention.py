"""Retention on a COCO tree of five stick figures, and its agreement with the validation of pre-training."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from callbacks.retention import Retention
from datamodules.coco import CocoDataModule
from datamodules.coco.augmentation import AugmentationConfig
from pose_oad.offline.map_regression import PretrainModule
from pose_oad.offline.source_domain import evaluate_on_source
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.learner import freeze_batch_norm
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.tracking.errors import UserError
from tests.windows import make_loop, make_window, record_of

BODY, COCO17 = get_skeleton("body-12"), get_skeleton("coco-17")
STUDENT = {"name": "tiny", "backbone": "mobilenetv4_conv_small_050", "head_channels": 16, "input_size": [64, 64]}


def write_tree(root: Path) -> Path:
    """Write five images of one person each, of different shapes; there is no training split."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (root / "val2017").mkdir(parents=True)
    for number in range(5):
        width, height = 120, 60 + 20 * number
        keypoints = np.stack([rng.uniform(10, 110, 17), rng.uniform(5, height - 5, 17), np.full(17, 2.0)], -1)
        picture = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "val2017" / f"{number}.jpg"), picture)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": width, "height": height})
        annotations.append({
            "id": number + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
            "keypoints": keypoints.flatten().tolist(), "area": 4000.0, "bbox": [10, 5, 100, height - 10],
        })  # fmt: skip
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}]
    (root / "annotations").mkdir()
    content = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (root / "annotations" / "person_keypoints_val2017.json").write_text(content)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CocoDataModule:
    root = write_tree(tmp_path_factory.mktemp("coco") / "tree")
    augmentation = AugmentationConfig()
    return CocoDataModule(root, BODY, (64, 64), (16, 16), augmentation=augmentation, batch_size=2, workers=0)


@pytest.fixture
def module() -> OnlineDistillation:
    torch.manual_seed(0)
    return OnlineDistillation(make_loop(PretrainModule(STUDENT).student))


def measured_after(retention: Retention, module: OnlineDistillation, windows: int) -> list[int]:
    """Play windows, disturbing the student in each, and return the numbers of those that carry a measurement."""
    trainer = SimpleNamespace(is_last_batch=False)
    retention.on_train_start(trainer, module)  # type: ignore[arg-type]
    carrying = []
    for index in range(windows):
        with torch.no_grad():
            for weight in module.student.head.parameters():
                weight.add_(0.2 * torch.randn_like(weight))
        trainer.is_last_batch = index == windows - 1
        figures = retention.window_closed(record_of(make_window(3, index=index)))
        if figures:
            assert set(figures) == {"retention/AP", "retention/AP50", "retention/mpjpe_px"}
            assert set(module.loop.watch.take()) == {"retention"}
            carrying.append(index)
    retention.on_train_end(trainer, module)  # type: ignore[arg-type]
    return carrying


def test_the_figures_are_those_of_pre_training(data: CocoDataModule, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pretraining = PretrainModule(STUDENT)
    with torch.no_grad():  # strong maps everywhere, so that people are found
        pretraining.student.head.out.weight.mul_(20.0)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    data.setup("validate")
    [validated] = trainer.validate(pretraining, data, verbose=False)
    figures = evaluate_on_source(pretraining.student, data)
    assert figures["AP"] == pytest.approx(validated["val/AP"])
    assert figures["AP50"] == pytest.approx(validated["val/AP50"])
    assert figures["mpjpe_px"] == pytest.approx(validated["val/mpjpe_px"], rel=1e-6)
    assert figures["mpjpe_px"] > 1


@pytest.mark.parametrize(("every", "windows"), [(None, [4]), (2, [1, 3, 4]), (1, [0, 1, 2, 3, 4]), (5, [4])])
def test_it_measures_every_so_many_windows_and_after_the_last(
    data: CocoDataModule, module: OnlineDistillation, every: int | None, windows: list[int]
) -> None:
    retention = Retention(data, every=every, images=1)
    assert measured_after(retention, module, 5) == windows


def test_the_summary_compares_before_and_after(data: CocoDataModule, module: OnlineDistillation) -> None:
    retention = Retention(data)
    before = evaluate_on_source(module.student, data)
    measured_after(retention, module, 2)
    after = evaluate_on_source(module.student, data)
    assert retention.summary() == pytest.approx({
        "retention_AP_before": before["AP"],
        "retention_mpjpe_px_before": before["mpjpe_px"],
        "retention_AP_after": after["AP"],
        "retention_mpjpe_px_after": after["mpjpe_px"],
    })  # fmt: skip
    assert abs(after["mpjpe_px"] - before["mpjpe_px"]) > 0.1


def test_a_stream_shorter_than_announced_is_measured_at_its_end(
    data: CocoDataModule, module: OnlineDistillation
) -> None:
    retention = Retention(data)
    trainer = SimpleNamespace(is_last_batch=False)
    retention.on_train_start(trainer, module)  # type: ignore[arg-type]
    assert retention.window_closed(record_of(make_window(3))) == {}
    with torch.no_grad():
        module.student.head.out.weight.normal_()
    retention.on_train_end(trainer, module)  # type: ignore[arg-type]
    summary = retention.summary()
    assert summary["retention_mpjpe_px_after"] != summary["retention_mpjpe_px_before"]


@pytest.mark.parametrize("images", [1, 2, 3, 5, 99])
def test_only_so_many_images_are_looked_at(data: CocoDataModule, module: OnlineDistillation, images: int) -> None:
    data.setup("validate")
    seen = 0

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    with_hook = module.student.register_forward_pre_hook(count)
    evaluate_on_source(module.student, data, images)
    with_hook.remove()
    assert seen == min(images, 5)


def test_the_student_is_left_as_it_was(data: CocoDataModule, module: OnlineDistillation) -> None:
    data.setup("validate")
    student = module.student.train()
    freeze_batch_norm(student)
    modes = [layer.training for layer in student.modules()]
    state = {key: value.clone() for key, value in student.state_dict().items()}
    evaluate_on_source(student, data)
    assert len(set(modes)) == 2
    assert [layer.training for layer in student.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in student.state_dict().items())
    assert all(weight.grad is None for weight in student.parameters())


@pytest.mark.parametrize(
    ("options", "key"), [({"every": 0}, "retention.every=0"), ({"images": 1.5}, "retention.images")]
)
def test_unusable_numbers_are_refused(data: CocoDataModule, options: dict, key: str) -> None:
    with pytest.raises(UserError, match=key):
        Retention(data, **options)


def test_a_missing_tree_is_refused_at_once(tmp_path: Path) -> None:
    data = CocoDataModule(tmp_path / "no", BODY, (64, 64), (16, 16), augmentation=AugmentationConfig())
    with pytest.raises(UserError, match="no such folder"):
        Retention(data)
