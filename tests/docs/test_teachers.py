"""The page on teachers names what there is, and its files are configurations that compose."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import pose_oad.cli.command
from pose_oad.cli.command import CONF, compose_config, plain
from pose_oad.teachers.described.network import InputSpec, OutputSpec
from pose_oad.tracking.schema import build_options

PAGE = (CONF.parent / "docs" / "teachers.md").read_text()


def test_every_teacher_is_in_the_table() -> None:
    cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) >= {path.stem for path in (CONF / "teacher").glob("*.yaml")}


def test_files_of_the_page_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    names = []
    for name, text in re.findall(r"^```yaml\n# conf/teacher/(\w+)\.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        (tmp_path / "conf" / "teacher" / f"{name}.yaml").write_text(text)
        names.append(name)
    assert names[:2] == ["yolo_pose", "rtmpose_behind_onnx"]
    monkeypatch.setattr(pose_oad.cli.command, "CONF", tmp_path / "conf")
    teachers = {name: plain(compose_config("online", [f"teacher={name}"]).teacher) for name in names}
    assert all("_target_" in teacher for teacher in teachers.values())
    for name in names[:2]:
        build_options(InputSpec, teachers[name]["input"], "teacher.input")
        build_options(OutputSpec, teachers[name]["output"], "teacher.output")
    assert teachers["yolo_pose"]["output"]["score"] == 4
    detector = teachers["rtmpose_behind_onnx"]["detector"]
    assert (detector["_target_"], detector["height"]) == ("pose_oad.teachers.onnx.OnnxTeacher", 256)
