"""``experiment=paper`` against the published protocol, value by value, whichever strategy is chosen."""

from __future__ import annotations

import pytest
from omegaconf import DictConfig, OmegaConf

from callbacks.strategies import QueryStrategy
from callbacks.strategies.confidence import Confidence
from callbacks.strategies.error import Error
from callbacks.strategies.sampling import Random, Uniform
from datamodules.windowing import window_length
from pose_oad.cli import build, compose_config, plain
from pose_oad.distillation import TrainingOptions
from pose_oad.skeleton import get_skeleton
from pose_oad.students import StudentConfig

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
    "stream.metric_width": 1000,
    "window.seconds": None,
    "window.frames": 1500,
    "window.camera_rate": 50,
    "window.fit": "squash",
    "rate": 0.01,
    "strategy.rate": 0.01,
    "training.budget": "epochs",
    "training.epochs": 10,
    "training.batch_size": 32,
    "training.learning_rate": 1e-3,
    "training.optimizer_state": "fresh",
    "training.batch_norm": "train",
    "training.foreground": 0.0,
    "training.labels": "keypoints",
    "metric.missing": "zero",
}

# What the paper says of the scores; a strategy that scores nothing by predictions has no such keys.
SCORES = {"scorer": "frozen", "missing": "zero", "reduce": "min", "min_gap": 1}


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
    assert strategy.budget(window_length(cfg.window.seconds, cfg.window.frames, cfg.window.camera_rate)) == budget


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
    assert (training.budget, training.epochs, training.batch_size) == ("epochs", 10, 32)


def test_a_value_on_the_command_line_goes_before_the_experiments() -> None:
    cfg = compose_paper("metric.missing=argmax", "student=resnet18", "rate=0.4")
    assert (cfg.metric.missing, cfg.student.backbone, cfg.strategy.rate) == ("argmax", "resnet18", 0.4)


def test_the_demo_is_the_configuration_as_it_stands() -> None:
    assert compose_config("online", ["experiment=demo"]) == compose_config("online", ["~experiment"])


def test_the_offline_study_is_the_papers() -> None:
    cfg = compose_config("finetune", ["experiment=paper_offline"])
    expected = {
        "stream.subjects": ["S1", "S5", "S6", "S7", "S8"], "test.subjects": ["S9", "S11"],
        "stream.cameras": ["55011271"], "stream.start": 0.0, "stream.end": 0.8, "student.backbone": "densenet121",
        "window.frames": 1500, "window.seconds": None, "window.camera_rate": 50, "training.epochs": 10,
        "training.batch_size": 32, "training.learning_rate": 1e-3, "training.batch_norm": "train",
        "training.foreground": 0.0, "metric.missing": "zero",
    }  # fmt: skip
    resolved = {key: OmegaConf.select(cfg, key) for key in expected}
    assert {key: list(v) if OmegaConf.is_list(v) else v for key, v in resolved.items()} == expected


def test_the_pre_training_is_the_papers() -> None:
    cfg = compose_config("pretrain", ["experiment=paper_pretraining"])
    expected = {
        "student.backbone": "densenet121", "optimiser.learning_rate": 1e-3, "optimiser.schedule": "steps",
        "optimiser.milestones": [75, 150], "trainer.max_epochs": 250, "augmentation.rotation": 0.2,
        "augmentation.scale": [0.5, 2.0], "augmentation.shift": 0.2, "augmentation.colour": "light",
        "objective.foreground": 0.0, "checkpoint.folder": "checkpoints/densenet121",
    }  # fmt: skip
    resolved = {key: OmegaConf.select(cfg, key) for key in expected}
    assert {key: list(v) if OmegaConf.is_list(v) else v for key, v in resolved.items()} == expected
