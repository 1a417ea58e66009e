from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pose_oad.cli.__main__ import COMMANDS, main
from pose_oad.cli.completion import SCRIPT, offers
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pose-oad pre", ["predict ", "pretrain "]),
        ("pose-oad online strategy=un", ["strategy=uniform "]),
        ("pose-oad online stream=live stream.buf", ["stream.buffer_seconds="]),
        ("pose-oad online stream=oops window.sec", ["window.seconds="]),
        ("pose-oad adapt overlay=", ["overlay=false ", "overlay=true "]),
        ("pose-oad predict chec", ["checkpoint="]),
        ("pose-oad predict source=my", []),
        ("pose-oad nothing s", []),
        ("pose-oad online rate.x", []),
        ("pose-oad online trac", ["tracking.", "tracking="]),
    ],
)
def test_a_line_is_completed(line: str, offered: list[str]) -> None:
    found = offers(line, COMMANDS)
    assert found == [one for one in found if one.startswith(line.split(" ")[-1])]
    assert set(offered) <= set(found)
    assert bool(found) == bool(offered)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_behind_the_equals_sign(tmp_path: Path) -> None:
    command = tmp_path / "pose-oad"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pose_oad.cli "$@"\n')
    command.chmod(0o755)
    ask = '\nCOMP_LINE="pose-oad adapt overlay=f" COMP_POINT=24\n_pose_oad\nprintf "[%s]" "${COMPREPLY[@]}"'
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for breaks, expected in (("=:", "[false ]"), (":", "[overlay=false ]")):
        code = f"COMP_WORDBREAKS={breaks}\n{SCRIPT}{ask}"
        done = subprocess.run(["bash", "-c", code], env=env, capture_output=True, text=True, check=False)
        assert done.stdout == expected, done.stderr


def test_the_command_says_how_to_complete_and_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, shown in (("--completion", SCRIPT), ("--version", "pose-oad 0.1.0\n")):
        with pytest.raises(SystemExit) as stopped:
            main([flag])
        assert (stopped.value.code, capsys.readouterr().out) == (0, shown)
