"""The page's commands compose, and its Python loads what the export writes."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from omegaconf import DictConfig

from pose_oad.cli.command import compose_config
from pose_oad.export.trt_pose import write_trt_pose
from pose_oad.students import StudentConfig, build_student
from tests.conftest import ROOT
from tests.trt_pose import reference

PAGE = (ROOT / "docs" / "trt-pose-weights.md").read_text()
# What the Makefile makes of its variables.
KEYS = {
    "CHECKPOINT": "checkpoint={}", "CHECKPOINTS": "checkpoints=[{}]", "STUDENT": "student={}", "SOURCE": "source={}",
}  # fmt: skip


def composed(command: str) -> DictConfig:
    """Compose what a `make` command of the page runs."""
    verb, *words = shlex.split(command.removeprefix("make "))
    variables = dict(word.split("=", 1) for word in words)
    keys = dict(KEYS) | {"OUT": "output.video={}" if verb == "predict" else "output.file={}"}
    overrides = [keys[name].format(value) for name, value in variables.items() if name != "ARGS"]
    return compose_config(verb, [*overrides, *shlex.split(variables.get("ARGS", ""))])


def test_the_commands_compose() -> None:
    commands = re.findall(r"^make (?:.*\\\n)*.*", PAGE, re.MULTILINE)
    configs = [composed(command.replace("\\\n", " ").replace("<run>", "run")) for command in commands]
    predict, evaluate, online, other, pretrain, export = configs
    assert (predict.resize_mode, predict.people, evaluate.window.resize_mode, evaluate.on) == (
        None,
        "many",
        None,
        "coco",
    )
    assert (online.student.skeleton, online.window.resize_mode) == ("trt-pose-18", "squash")
    assert (other.student.skeleton, other.student.head, other.window.resize_mode) == ("body-12", "attention", "squash")
    assert pretrain.initial == other.checkpoint == online.checkpoint == predict.checkpoint
    assert (export.output.file, export.output.format) == ("student.pth", None)


def test_trt_pose_loads_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = StudentConfig("mine", "resnet18", input_size=(64, 64), head="attention", head_channels=256)
    student = build_student(config).eval()
    write_trt_pose(student, tmp_path / "student.pth")
    assert len(json.loads((tmp_path / "student.topology.json").read_text())["keypoints"]) == 12
    package, models = ModuleType("trt_pose"), ModuleType("trt_pose.models")
    models.resnet18_baseline_att = lambda joints, channels, pretrained: reference("resnet18", joints, channels // 2)  # type: ignore[attr-defined]
    package.models = models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trt_pose", package)
    monkeypatch.setitem(sys.modules, "trt_pose.models", models)
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/trt-pose-weights.md", "exec"), names)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(names["model"](images)[0], student(images)[0], rtol=0, atol=1e-5)
