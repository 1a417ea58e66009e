"""Every framework is a combination of stages that plays a stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pose_oad.cli.command import CONF, compose_config
from pose_oad.cli.online import main
from pose_oad.cli.run_config import read_config
from pose_oad.online.augmentation import RandomViews
from pose_oad.online.averaging import Ema
from pose_oad.online.memory import Fifo, Reservoir
from pose_oad.online.objectives import WeightedSum
from pose_oad.online.regularisers import CoordinateDescent
from pose_oad.teachers.self_training import SelfTeacher

FRAMEWORKS = sorted(path.stem for path in (CONF / "framework").glob("*.yaml"))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_framework_learns_from_a_stream(
    framework: str, human36m_tree: Path, student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    summary = main(compose_config("online", [
        f"framework={framework}", f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}",
        "student.input_size=[64,64]", "window.seconds=null", "window.frames=25", "rate=0.1", "threads=1",
        "trainer.accelerator=cpu", "trainer.limit_train_batches=2", "logger=local", "output.figures=false",
        "metric.teacher_every=null",
    ]))  # fmt: skip
    assert summary["frames"] == 50
    # The tiny student finds nobody: it has nothing to teach itself.
    assert summary["optimizer_steps"] > 0 or framework in ("self_training", "source_free")


@pytest.mark.parametrize(
    ("framework", "key", "kind"),
    [
        ("replay", "memory", Reservoir), ("replay", "augmentation", RandomViews), ("replay", "average", Ema),
        ("ams", "regulariser", CoordinateDescent), ("arthus", "memory", Fifo),
        ("self_training", "teacher", SelfTeacher), ("source_free", "objective", WeightedSum),
    ],
)  # fmt: skip
def test_a_framework_chooses_stages(framework: str, key: str, kind: type) -> None:
    cfg = compose_config("online", [f"framework={framework}"])
    assert cfg[key]._target_.rpartition(".")[2] == kind.__name__


def test_a_choice_on_the_command_line_goes_before_the_frameworks() -> None:
    cfg = compose_config("online", ["framework=replay", "memory=none", "training.steps=3"])
    assert cfg.memory._target_.endswith("NoMemory")
    assert (cfg.training.unit, cfg.training.steps) == ("steps", 3)


def test_the_papers_experiment_is_the_papers_framework() -> None:
    cfg = compose_config("online", ["experiment=paper"])
    assert (cfg.training.unit, cfg.training.new_share, cfg.training.batch_size) == ("epochs", 1.0, 32)
    assert cfg.memory._target_.endswith("NoMemory")


@pytest.mark.parametrize(
    "overrides",
    [
        *([f"framework={framework}"] for framework in FRAMEWORKS),
        ["clock=profile", "device@clock.device=jetson_nano"],
        ["clock=measured", "trigger=jitnet", "weights=gated", "strategy=mixture"],
        ["objective=sum", "+objective@objective.objectives.maps=map_regression"],
        ["teacher=smoothed", "+teacher@teacher.of=truth", "label_filter=default"],
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_what_a_run_keeps_of_its_choices_is_read_back(overrides: list[str], tmp_path: Path) -> None:
    cfg = compose_config("online", overrides)
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    assert read_config(tmp_path / "config.yaml", "online") == cfg
