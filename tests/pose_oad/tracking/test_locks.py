"""Who makes or uses something holds a lock that names it, and that goes away with its process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pose_oad.tracking.errors import UserError
from pose_oad.tracking.locks import holding
from tests.conftest import ROOT

HOLD = """
import sys, time
from pathlib import Path
from pose_oad.tracking.locks import holding
with holding(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(place: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(place), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "new" / "place"


@pytest.fixture
def other(place: Path) -> Iterator[subprocess.Popen[str]]:
    process = hold(place, "alone")
    yield process
    process.kill()


def test_who_holds_a_place_is_named_until_it_dies(place: Path, other: subprocess.Popen[str]) -> None:
    for shared in (False, True):
        with pytest.raises(UserError, match=rf"place: .*{other.pid} "), holding(place, shared=shared):
            pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    with holding(place):
        pass


def test_sharers_hold_a_place_together_and_nobody_alone(place: Path) -> None:
    processes = [hold(place, "shared") for _ in range(2)]
    try:
        with holding(place, shared=True), pytest.raises(UserError) as refused, holding(place):
            pass
        assert set(re.findall(r"process (\d+)", str(refused.value))) == {
            *(str(p.pid) for p in processes),
            str(os.getpid()),
        }
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with pytest.raises(UserError) as refused, holding(place, shared=True), holding(place):
        pass
    assert re.findall(r"process (\d+)", str(refused.value)) == [str(os.getpid())]


def test_one_who_waits_says_for_whom(place: Path, other: subprocess.Popen[str]) -> None:
    command = [sys.executable, "-m", "pose_oad.tracking.locks", "--wait", str(place), "echo", "done"]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert waiting.stderr is not None
    assert f"waiting for process {other.pid} " in waiting.stderr.readline()
    other.kill()
    assert waiting.communicate(timeout=20)[0] == "done\n"


def make(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start make in a copy of the checkout whose commands are stand-ins."""
    return subprocess.Popen(
        ["make", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone in which ``.venv/bin/python`` is a stand-in that writes down what it is asked for."""
    folder = tmp_path / "clone"
    (folder / "pose_oad").mkdir(parents=True)
    for name in (
        "Makefile",
        "requirements.txt",
        "pyproject.toml",
        "pose_oad/tracking/locks.py",
        "pose_oad/tracking/errors.py",
        "pose_oad/tracking/__init__.py",
        "pose_oad/__init__.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        'echo "$@" >> asked\nsleep 0.3\ncase "$2 $3" in\n'
        "pose_oad.cli\\ data) mkdir -p data/synthetic; touch data/synthetic/contact_sheet.png;;\n"
        "pose_oad.cli\\ pretrain) mkdir -p checkpoints/small; touch checkpoints/small/best.ckpt;;\nesac\n"
    )
    python.write_text("#!/bin/sh\n" + python.read_text())
    python.chmod(0o755)
    return folder


def test_two_makes_on_a_fresh_clone_prepare_it_once(clone: Path) -> None:
    both = [make(clone, "online", f"SEED={seed}", "ARGS=a=1") for seed in (0, 1)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    asked = [line.split()[1:3] for line in (clone / "asked").read_text().splitlines()]
    made = [verb for program, verb in asked if program == "pose_oad.cli"]
    assert made == ["data", "pretrain", "online", "online"]
    assert sum(program == "pip" for program, _ in asked) == 2
    assert any("waiting for process" in text for text in said)


def test_clean_leaves_alone_what_a_command_uses(clone: Path) -> None:
    (clone / "data").mkdir()
    process = hold(clone / ".commands", "shared")
    refused = make(clone, "clean")
    assert f"held by process {process.pid} " in refused.communicate()[0]
    assert refused.returncode == 2
    assert (clone / "data").exists()
    process.kill()
    process.wait()
    assert make(clone, "clean").wait() == 0
    assert not (clone / "data").exists()


def test_a_command_holds_the_checkout(tmp_path: Path) -> None:
    """Every command does; this one waits for a folder that another process makes."""
    root = tmp_path / "world"
    with holding(root):
        command = [sys.executable, "-m", "pose_oad.cli", "data", f"root={root}"]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert f"waiting for process {os.getpid()} " in process.stderr.readline()
        with pytest.raises(UserError, match=rf"process {process.pid} \(data\)"), holding(ROOT / ".commands"):
            pass
        process.kill()
        process.wait()
