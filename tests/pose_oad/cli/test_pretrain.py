"""Pre-training from the composed configuration to the published checkpoint, on a tree of eight stick figures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from pose_oad.cli.command import compose_config
from pose_oad.cli.pretrain import CheckpointFiles, PretrainResult, main
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import UserError
from tests.trt_pose import write_reference

COCO17 = get_skeleton("coco-17")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    rng = np.random.default_rng(0)
    for split, count in (("train2017", 8), ("val2017", 3)):
        (root / split).mkdir()
        images, annotations = [], []
        for number in range(count):
            x = rng.uniform(20, 100, 17)
            y = rng.uniform(20, 100, 17)
            picture = rng.integers(0, 60, (120, 120, 3), dtype=np.uint8)
            for a, b in COCO17.limbs:
                cv2.line(picture, (int(x[a]), int(y[a])), (int(x[b]), int(y[b])), (200, 220, 240), 3)
            cv2.imwrite(str(root / split / f"{number}.jpg"), picture)
            images.append({"id": number, "file_name": f"{number}.jpg", "width": 120, "height": 120})
            keypoints = np.stack([x, y, np.full(17, 2)], -1).flatten().tolist()
            person = {"id": number + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "num_keypoints": 17}
            annotations.append({**person, "keypoints": keypoints, "area": 5000.0, "bbox": [20, 20, 80, 80]})
        data = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
        }
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(data))
    return root


def _config(tree: Path, folder: Path, *overrides: str) -> DictConfig:
    return compose_config(
        "pretrain",
        [
            f"data.root={tree}",
            "data.batch_size=4",
            "data.workers=0",
            "student.head_channels=16",
            "student.input_size=[64,64]",
            "trainer.max_epochs=2",
            "trainer.accelerator=cpu",
            "trainer.check_val_every_n_epoch=1",
            f"checkpoint.folder={folder / 'checkpoints'}",
            f"tracking.uri=sqlite:///{folder / 'mlflow.db'}",
            f"tracking.artifacts={folder / 'artifacts'}",
            *overrides,
        ],
    )


@pytest.fixture(scope="module")
def trained(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PretrainResult, Path]:
    folder = tmp_path_factory.mktemp("run")
    return main(_config(tree, folder)), folder


def test_it_publishes_a_student_that_loads(trained: tuple[PretrainResult, Path]) -> None:
    result, folder = trained
    files = CheckpointFiles(folder / "checkpoints")
    assert result.checkpoint == files.best
    assert files.best.is_file()
    assert files.last.is_file()
    assert not files.candidate.exists()
    student = load_student(files.best)
    assert student.config.backbone == "mobilenetv4_conv_small_050"
    assert student.config.input_size == (64, 64)


def test_it_reports_the_figures_of_validation(trained: tuple[PretrainResult, Path]) -> None:
    metrics = trained[0].metrics
    assert {"train/loss", "val/loss", "val/AP", "val/AP50", "val/mpjpe_px"} <= metrics.keys()
    assert 0 <= metrics["val/AP"] <= 1
    # Nobody is further away than the picture's diagonal, and an untrained network is not exact either.
    assert 1 < metrics["val/mpjpe_px"] < 170


def test_with_an_ap_near_zero_the_smallest_loss_picks_the_checkpoint(
    trained: tuple[PretrainResult, Path],
) -> None:
    from mlflow import MlflowClient

    result, folder = trained
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    [run] = client.search_runs([client.get_experiment_by_name("pretrain").experiment_id])
    logged = {name: client.get_metric_history(run.info.run_id, f"val/{name}") for name in ("loss", "AP50")}
    losses = [point.value for point in logged["loss"]]
    assert max(point.value for point in logged["AP50"]) < 0.05
    assert losses[1] < losses[0]
    assert torch.load(result.checkpoint, weights_only=True)["epoch"] == 1


def test_it_records_parameters_and_curves(trained: tuple[PretrainResult, Path]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained[1] / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pretrain")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["student.head_channels"] == "16"
    assert run.data.params["seed.model"] == "0"
    assert len(client.get_metric_history(run.info.run_id, "val/AP")) == 2


def test_the_same_seed_gives_the_same_weights(tree: Path, tmp_path: Path) -> None:
    first = main(_config(tree, tmp_path / "a", "trainer.max_epochs=1"))
    second = main(_config(tree, tmp_path / "b", "trainer.max_epochs=1"))
    other = main(_config(tree, tmp_path / "c", "trainer.max_epochs=1", "seed.model=1"))
    weights, again, different = (load_student(run.checkpoint).state_dict() for run in (first, second, other))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(weights["head.out.weight"], different["head.out.weight"])


def test_it_resumes_where_it_stopped(tree: Path, tmp_path: Path) -> None:
    main(_config(tree, tmp_path))
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["epoch"] == 1
    main(_config(tree, tmp_path, "resume=true", "trainer.max_epochs=3"))
    state = torch.load(last, weights_only=True)
    assert state["epoch"] == 2
    assert state["global_step"] == 6
    assert (tmp_path / "checkpoints" / "best.ckpt").is_file()


def test_resuming_a_finished_training_keeps_its_best(tree: Path, tmp_path: Path) -> None:
    best = main(_config(tree, tmp_path)).checkpoint
    before = best.read_bytes()
    assert main(_config(tree, tmp_path, "resume=true")).checkpoint == best
    assert best.read_bytes() == before


def test_an_interrupted_training_publishes_nothing(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_oad.offline.map_regression import PretrainModule

    def stop(self: PretrainModule) -> None:
        if self.current_epoch == 1:
            raise RuntimeError("power cut")

    monkeypatch.setattr(PretrainModule, "on_train_epoch_start", stop)
    with pytest.raises(RuntimeError, match="power cut"):
        main(_config(tree, tmp_path))
    files = CheckpointFiles(tmp_path / "checkpoints")
    assert not files.best.exists()
    assert files.last.exists()
    monkeypatch.undo()
    main(_config(tree, tmp_path, "resume=true"))
    assert files.best.exists()
    assert torch.load(files.last, weights_only=True)["epoch"] == 1


def test_it_stops_in_time_and_still_leaves_a_student(tree: Path, tmp_path: Path) -> None:
    unvalidated = ("trainer.max_time=00:00:00:00", "trainer.check_val_every_n_epoch=9", "trainer.max_epochs=9")
    result = main(_config(tree, tmp_path, *unvalidated))
    assert load_student(result.checkpoint).config.name == "small"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("data.root=nowhere",), r"data\.root=nowhere: no such folder"),
        (("resume=true",), r"resume=true: no .*last\.ckpt to continue from"),
        (("student.backbone=resnet8",), "did you mean 'resnet18'"),
        (("student.input_size=[70,64]",), "multiples of 32 px"),
        (("trainer.accelerator=quantum",), "trainer=.*quantum"),
        (("+trainer.max_epoch=3",), "trainer=.*max_epoch"),
        (("data.workers=many",), r"data\.workers=many: expected .*at least 0"),
        (("augmentation.colour=loud",), r"augmentation\.colour=loud"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(
    tree: Path, tmp_path: Path, overrides: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        main(_config(tree, tmp_path, *overrides))
    assert list(tmp_path.iterdir()) == []


def test_another_students_checkpoint_is_not_resumed(tree: Path, trained: tuple[PretrainResult, Path]) -> None:
    folder = trained[1]
    with pytest.raises(UserError, match=r"last\.ckpt: holds head_channels=16; expected head_channels=24"):
        main(_config(tree, folder, "resume=true", "student.head_channels=24"))


def test_an_unreadable_image_is_named_even_by_a_loader_process(tree: Path, tmp_path: Path) -> None:
    import shutil

    damaged = tmp_path / "coco"
    shutil.copytree(tree, damaged)
    (damaged / "train2017" / "5.jpg").write_bytes(b"damaged")
    with pytest.raises(UserError) as refused:
        main(_config(damaged, tmp_path / "run", "data.workers=1", "data.cache_mib=0"))
    assert str(refused.value) == f"{damaged / 'train2017' / '5.jpg'}: cannot be decoded as an image (7 bytes)"


@pytest.mark.parametrize("name", ["densenet121", "resnet18", "mobilenetv4", "small"])
def test_every_student_file_describes_a_student(name: str) -> None:
    from omegaconf import OmegaConf

    cfg = compose_config("pretrain", [f"student={name}"])
    values = OmegaConf.to_container(cfg.student)
    assert isinstance(values, dict)
    assert StudentConfig.from_dict({str(key): value for key, value in values.items()}).name == name
    assert cfg.checkpoint.folder == f"checkpoints/{name}"


def test_training_starts_from_weights_of_another_joint_set(tree: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    description = {"head_channels": 16, "input_size": (64, 64), "sigma": 0.04, "skeleton": "coco-17"}
    initial = build_student(StudentConfig("whole", "mobilenetv4_conv_small_050", **description))  # type: ignore[arg-type]
    save_student(initial, tmp_path / "whole.ckpt")
    still = ["optimiser.learning_rate=1e-12", "optimiser.schedule=constant", "trainer.max_epochs=1"]
    result = main(_config(tree, tmp_path, f"initial={tmp_path / 'whole.ckpt'}", *still))
    trained, old = load_student(result.checkpoint).state_dict(), initial.state_dict()
    same = {"atol": 1e-8, "rtol": 0}
    torch.testing.assert_close(trained["backbone.conv_stem.weight"], old["backbone.conv_stem.weight"], **same)
    torch.testing.assert_close(trained["head.out.weight"][:12], old["head.out.weight"][5:17], **same)


def test_weights_of_another_network_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = write_reference(tmp_path, "resnet18")
    with pytest.raises(UserError, match=r"resnet18_baseline_att\.pth: holds backbone=resnet18, .*\(student=small\)"):
        main(_config(tmp_path / "nowhere", tmp_path, f"initial={path}"))
    assert not (tmp_path / "checkpoints").exists()


def test_a_training_that_diverges_stops_and_keeps_nothing_broken(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"optimiser\.learning_rate=1e\+20: .*epoch 1 "):
        main(_config(tree, tmp_path, "optimiser.learning_rate=1e20", "optimiser.schedule=constant"))
    assert not list(tmp_path.rglob("*.ckpt"))
