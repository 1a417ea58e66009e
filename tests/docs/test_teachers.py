"""The page on teachers names what there is, and describes networks in keys that exist."""

from __future__ import annotations

import re
from typing import Any

import yaml

from pose_oad.cli import CONF, compose_config, plain
from pose_oad.teachers.described.spec import InputSpec, OutputSpec, read_spec

PAGE = (CONF.parent / "docs" / "teachers.md").read_text()


def test_every_teacher_is_in_the_table() -> None:
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    listed = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines())))
    assert listed == {path.stem for path in (CONF / "teacher").glob("*.yaml")}


def test_descriptions_hold_known_keys_and_values() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        described: dict[str, Any] = yaml.safe_load(block)
        base = described.pop("defaults")[0]
        known = plain(compose_config("online", [f"teacher={base}"]).teacher)
        assert described.keys() <= known.keys()
        read_spec(InputSpec, known["input"] | described.get("input", {}), "teacher.input")
        read_spec(OutputSpec, known["output"] | described.get("output", {}), "teacher.output")
        detector = described.get("detector", {"_target_": "pose_oad.teachers.onnx.OnnxTeacher"})
        assert detector.keys() <= compose_config("online", ["teacher=onnx"]).teacher.keys()
