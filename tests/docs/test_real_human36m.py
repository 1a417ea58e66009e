"""What the page says is so: its commands compose, its sizes are right, its code runs on a prepared file."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pose_oad.cli.command import CONF, compose_config
from pose_oad.cli.data import main
from tests.media import write_full_sequence

PAGE = (CONF.parent / "docs" / "real-human36m.md").read_text()


@pytest.mark.parametrize("command", ["data", "online"])
def test_the_commands_compose(command: str) -> None:
    lines = re.findall(rf'^make {command} (?:[^"\n]|\\\n)*ARGS="([^"]*)"', PAGE, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        compose_config(command, shlex.split(line))


def test_the_sizes_are_right() -> None:
    one, four = (re.findall(r"([\d.]+) GB", row) for row in re.findall(r"^\| S1, .*", PAGE, re.MULTILINE))
    for place, side in enumerate((128, 256)):
        frame = side * side * 3 + 32 * 8 * 4 + 24
        assert float(one[place]) == pytest.approx(62_094 * frame / 1e9, abs=0.05)
        assert float(four[place]) == pytest.approx(4 * 62_094 * frame / 1e9, abs=0.05)


def test_the_code_reads_a_prepared_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_full_sequence(tmp_path / "downloads", "S1", "Walking 1", ("55011271",), 12)
    monkeypatch.chdir(tmp_path)
    overrides = ["source=human36m", "root=downloads", "human36m.subjects=[S1]", "human36m.frames.size=[256,256]"]
    main(compose_config("data", [*overrides, "workers=0"]))
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    scope: dict = {}
    exec(compile(code, "real-human36m.md", "exec"), scope)
    assert scope["pixels"].shape == (12, 32, 2)
    assert scope["frames"].shape == (12, 256, 256, 3)
    assert scope["numbers"].tolist() == list(range(12))
    assert scope["joints"][0] == "pelvis"
    assert scope["camera"]["origin"] == "least squares of the poses"
