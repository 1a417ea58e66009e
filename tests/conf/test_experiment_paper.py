"""``experiment=paper`` against the published protocol, value by value, whichever strategy is chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from callbacks.strategies import QueryStrategy
from callbacks.strategies.confidence import Confidence
from callbacks.strategies.error import Error
from callbacks.strategies.sampling import Random, Uniform
from datamodules.coco.augmentation import Augmentation, AugmentationConfig
from datamodules.windowing import window_length
from pose_oad.cli.assembly import OnlineRun, prepare
from pose_oad.cli.command import build, compose_config, plain
from pose_oad.cli.teachers import make_teacher
from pose_oad.online.batch import LabelledBatch
from pose_oad.online.objectives import map_loss, map_regression
from pose_oad.online.options import TrainingOptions
from pose_oad.online.triggers import Always
from pose_oad.poses.maps import MapTargets
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import StudentConfig
from pose_oad.tracking.errors import UserError
from tests.media import write_sequence
from tests.windows import Listed, play

STRATEGIES = {"uniform": Uniform, "random": Random, "error": Error, "confidence": Confidence}

PROTOCOL = {
    "student.backbone": "densenet121",
    "student.head": "attention",
    "student.skeleton": "body-12",
    "student.input_size": [256, 256],
    "student.sigma": 0.025,
    "checkpoint": "checkpoints/densenet121/best.ckpt",
    "stream.subjects": ["S1"],
    "stream.cameras": ["55011271"],
    "stream.actions": None,
    "stream.start": 0.0,
    "stream.end": 0.8,
    "stream.shuffle": False,
    "stream.order": "file",
    "teacher._target_": "pose_oad.teachers.openpose.teacher.OpenPoseTeacher",
    "stream.metric_width": 1000,
    "window.seconds": None,
    "window.frames": 1500,
    "window.camera_rate": 50,
    "window.resize_mode": "squash",
    "rate": 0.01,
    "trigger.rate": 0.01,
    "training.unit": "epochs",
    "training.epochs": 10,
    "training.batch_size": 32,
    "training.last_batch": "drop",
    "training.learning_rate": 1e-3,
    "training.optimizer_state": "fresh",
    "training.batch_norm": "train",
    "training.foreground": 0.0,
    "training.labels": "keypoints",
    "training.undetected_joints": "background",
    "training.people_share": 0.0,
    "memory._target_": "pose_oad.online.memory.NoMemory",
    "augmentation.views": "window",
    "optimizer.name": "adam",
    "optimizer.schedule": "constant",
    "optimizer.clip": None,
    "metric.decoding": "grouped",
    "metric.undetected_joints": "zero",
}

# What the paper says of the scores; a strategy that scores nothing by predictions has no such keys.
SCORES = {"scorer": "frozen", "undetected_joints": "zero", "reduce": "min", "min_gap": 1}


def compose_paper(*overrides: str) -> DictConfig:
    return compose_config("online", ["experiment=paper", *overrides])


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_value_is_the_papers(name: str) -> None:
    cfg = compose_paper(f"strategy={name}")
    resolved = {key: OmegaConf.select(cfg, key) for key in PROTOCOL}
    assert {key: list(v) if OmegaConf.is_list(v) else v for key, v in resolved.items()} == PROTOCOL
    assert {key: value for key, value in cfg.strategy.items() if key in SCORES}.items() <= SCORES.items()


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(("rate", "budget"), [(0.01, 15), (0.05, 75), (0.10, 150), (0.20, 300), (0.40, 600)])
def test_every_strategy_has_the_papers_budgets(name: str, rate: float, budget: int) -> None:
    cfg = compose_paper(f"strategy={name}", f"rate={rate}")
    strategy: QueryStrategy = build(cfg.strategy)
    assert type(strategy) is STRATEGIES[name]
    frames = window_length(cfg.window.seconds, cfg.window.frames, cfg.window.camera_rate)
    assert strategy.budget(build(cfg.trigger).labels(frames), frames) == budget


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, student_checkpoint: Path) -> OnlineRun:
    """A run of the protocol, but for a small student, a tiny tree and a simulated teacher."""
    tree = tmp_path_factory.mktemp("human36m")
    for name in ("Walking", "Walking 1", "Directions", "Directions 1"):
        write_sequence(tree, "S1", name, "55011271", 10)
    small = ["student=small", "student.input_size=[64,64]", f"checkpoint={student_checkpoint}"]
    return prepare(compose_paper(*small, f"stream.root={tree}", "teacher=truth", "teacher.misses=0.5"))


@pytest.mark.parametrize(("rate", "steps"), [(0.01, 10), (0.05, 20), (0.10, 40), (0.20, 90), (0.40, 180), (1.0, 460)])
def test_a_window_trains_as_many_steps_as_in_the_paper(run: OnlineRun, rate: float, steps: int) -> None:
    chosen, learner = Always(rate).labels(1500), run.module.loop.learner
    planned = learner.options.planned(chosen, 32)
    assert [len(rows) for rows in learner._rows(chosen, 32, 0, planned)] == [min(chosen, 32)] * steps


def test_sequences_play_in_the_order_of_the_data_set(run: OnlineRun) -> None:
    clips = run.data.loader.source.clips
    assert [clip.name.split(".")[0] for clip in clips] == [
        "S1/Directions 1", "S1/Directions", "S1/Walking 1", "S1/Walking",
    ]  # fmt: skip
    assert [(clip.start, clip.stop) for clip in clips] == [(0, 8)] * 4


def test_the_student_learns_and_is_measured_as_in_the_paper(run: OnlineRun, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, batches, views = run.module.loop, [], []
    student = loop.learner.student

    def loss(maps: torch.Tensor, fields: torch.Tensor, target: MapTargets, skeleton: Skeleton, joints: torch.Tensor,
             **more: object) -> torch.Tensor:  # fmt: skip
        batches.append((maps, target, joints))
        return map_loss(maps, fields, target, skeleton, joints, **more)  # type: ignore[arg-type]

    class Noting:
        views = loop.learner.augment.views

        def __call__(self, batch: LabelledBatch, generator: torch.Generator) -> LabelledBatch:
            views.append(shown(batch, generator))
            return views[-1]

    shown = loop.learner.augment
    monkeypatch.setattr(map_regression, "map_loss", loss)
    monkeypatch.setattr(loop.learner, "augment", Noting())
    monkeypatch.setattr(loop, "strategy", Listed([1, 5, 9]))
    monkeypatch.setattr(loop, "trigger", Always(1.0))
    loop.weights.started(student)
    window = next(iter(run.data.loader))
    play(loop, window)
    assert len(batches) == 10
    [view] = views  # one view a frame, whatever the epochs
    frames, people = view.frames, view.keypoints
    assert not torch.equal(frames, window.frames[[1, 5, 9]])
    missed = people[:, 0, :, 2] == 0
    assert missed.any()
    for _, target, joints in batches:
        assert joints.all()  # what the teacher missed is background
        assert int((target.confidence_maps.amax((2, 3)) == 0).sum()) == int(missed.sum())
    assert student.decoding == "grouped"
    found = student.keypoints(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)).single
    assert (found[..., 2] == 0).any()  # an arg-max always finds something
    assert run.evaluation.measurement.rule.undetected_joints == "zero"


@pytest.mark.parametrize(("command", "experiment"), [("online", "paper"), ("finetune", "paper_offline")])
def test_where_openposes_weights_are_missing_one_line_says_so(command: str, experiment: str) -> None:
    cfg = compose_config(command, [f"experiment={experiment}"])
    with pytest.raises(UserError, match=r"teacher\.path=None: expected text"):
        make_teacher(cfg.teacher, get_skeleton("human36m-32"))


def test_error_and_confidence_have_the_papers_switches() -> None:
    assert set(SCORES) - set(compose_paper("strategy=confidence").strategy) == set()
    assert set(SCORES) - set(compose_paper("strategy=error").strategy) == {"reduce"}


def test_the_values_resolve_to_the_papers_student_and_training() -> None:
    cfg = compose_paper()
    student = StudentConfig.from_dict(plain(cfg.student))
    skeleton = get_skeleton(student.skeleton)
    assert (student.input_size, student.map_size) == ((256, 256), (64, 64))
    assert student.sigma * student.map_size[0] == pytest.approx(1.6)
    assert (len(skeleton), 2 * len(skeleton.limbs)) == (12, 24)
    sides = {"shoulder", "elbow", "wrist", "hip", "knee", "ankle"}
    assert set(skeleton.joints) == {f"{side}_{joint}" for side in ("left", "right") for joint in sides}
    training = TrainingOptions(**plain(cfg.training))
    assert (training.unit, training.epochs, training.batch_size) == ("epochs", 10, 32)


def test_a_value_on_the_command_line_goes_before_the_experiments() -> None:
    cfg = compose_paper("metric.undetected_joints=argmax", "student=resnet18", "rate=0.4")
    assert (cfg.metric.undetected_joints, cfg.student.backbone, cfg.trigger.rate) == ("argmax", "resnet18", 0.4)


def test_the_demo_is_the_configuration_as_it_stands() -> None:
    assert compose_config("online", ["experiment=demo"]) == compose_config("online", ["~experiment"])


def test_the_offline_study_is_the_papers() -> None:
    cfg = compose_config("finetune", ["experiment=paper_offline"])
    expected = {
        "stream.subjects": ["S1", "S5", "S6", "S7", "S8"], "test.subjects": ["S9", "S11"],
        "stream.cameras": ["55011271"], "stream.start": 0.0, "stream.end": 0.8, "student.backbone": "densenet121",
        "window.frames": 1500, "window.seconds": None, "window.camera_rate": 50, "training.epochs": 10,
        "training.batch_size": 32, "training.learning_rate": 1e-3, "training.batch_norm": "train",
        "training.foreground": 0.0, "metric.undetected_joints": "zero", "metric.decoding": "grouped",
        "teacher._target_": "pose_oad.teachers.openpose.teacher.OpenPoseTeacher", "stream.order": "file",
        "validation.monitor": "teacher_loss", "training.plateau.patience": 3, "training.last_batch": "drop",
        "training.undetected_joints": "background", "augmentation.views": "window", "window.resize_mode": "squash",
    }  # fmt: skip
    resolved = {key: OmegaConf.select(cfg, key) for key in expected}
    assert {key: list(v) if OmegaConf.is_list(v) else v for key, v in resolved.items()} == expected


def test_the_pre_training_is_the_papers() -> None:
    cfg = compose_config("pretrain", ["experiment=paper_pretraining"])
    expected = {
        "student.backbone": "densenet121", "optimiser.learning_rate": 1e-3, "optimiser.schedule": "steps",
        "optimiser.milestones": [75, 150], "trainer.max_epochs": 250, "augmentation.rotation": 0.2,
        "augmentation.scale": [0.5, 2.0], "augmentation.scale_of": "section", "augmentation.shift": 0.2,
        "augmentation.flip": 0.0, "augmentation.resize_mode": "squash", "augmentation.colour": "light",
        "student.resize_mode": "squash", "objective.foreground": 0.0, "checkpoint.folder": "checkpoints/densenet121",
    }  # fmt: skip
    resolved = {key: OmegaConf.select(cfg, key) for key in expected}
    assert {key: list(v) if OmegaConf.is_list(v) else v for key, v in resolved.items()} == expected


def test_the_pre_trainings_views_are_the_papers() -> None:
    """A grey image with a person's two joints left of the middle, 20 % of the width apart."""
    cfg = compose_config("pretrain", ["experiment=paper_pretraining"])
    augment = Augmentation(AugmentationConfig(**plain(cfg.augmentation)), get_skeleton("body-12"), (200, 200), 0)
    image, people = np.full((200, 200, 3), 128, np.uint8), np.zeros((1, 12, 3), np.float32)
    people[0, :2] = [[80, 100, 1], [120, 100, 1]]
    lengths, angles, middles, colours = [], [], [], []
    for _ in range(200):
        view, moved, _ = augment(image, people)
        colours.append(np.median(view[view > 60]) / 128)
        if (moved[0, :2, 2] > 0).all():
            first, second = moved[0, :2, :2]
            lengths.append(np.linalg.norm(second - first) / 40)
            angles.append(np.arctan2(*(second - first)[::-1]))
            middles.append((first + second) / 400 - 0.5)
    assert 0.5 <= min(lengths) < 0.55
    assert 1.6 < max(lengths) <= 2.001
    assert 0.15 < np.abs(angles).max() <= 0.201  # and so never a mirror image
    assert 0.15 < np.abs(middles).max() <= 0.205
    assert 0.01 < np.abs(np.array(colours) - 1).max() <= 0.105  # brightness and contrast together
