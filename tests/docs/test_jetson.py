"""The recipe's Python runs as it stands, and finds what the project's own decoder finds."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_oad.export.registered_model import find_keypoints
from tests.conftest import ROOT
from tests.exports import random_student, write_export

RECIPE = (ROOT / "docs" / "jetson.md").read_text()


@pytest.mark.parametrize("resize_mode", ["letterbox", "squash"])
def test_the_recipe_runs(
    resize_mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    student = random_student((96, 64))
    write_export(student, tmp_path / "student.onnx", resize_mode=resize_mode)  # type: ignore[arg-type]
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (120, 150, 3), dtype=np.uint8), (0, 0), 4)
    cv2.imwrite("frame.png", image[..., ::-1])
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", RECIPE, flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "docs/jetson.md", "exec"), names)
    shown = capsys.readouterr().out
    assert f"12 joints, RGB uint8 frames of 96x64 px, {resize_mode}" in shown
    assert "maps (1, 12, 16, 24), fields (1, 12, 2, 16, 24)" in shown
    assert shown.splitlines()[-12].startswith("left_shoulder")
    expected = find_keypoints(student, image, resize_mode)  # type: ignore[arg-type]
    cell = 4 / names["scale"]
    apart = np.abs(names["keypoints"] - expected)
    assert (apart[:, :2] <= cell).mean() > 0.9  # between the cells, and two scalers that round differently
    assert (apart[:, 2] < 0.05).all()


def test_what_did_not_run_is_said_to() -> None:
    shell = list(re.finditer(r"```sh\n.*?```", RECIPE, flags=re.DOTALL))
    assert len(shell) == 2
    for block in shell:
        assert "trtexec" in block.group()
        assert RECIPE[: block.start()].rstrip().endswith("**Not run here:**")
