"""A mistyped option of make is a mistake, not a run with the defaults."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        command = ["make", "-o", ".venv/.complete", "ui", f"PYTHON={sys.executable}", f"PORT={port}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, f"PORT={port}: in use" in done.stderr) == (2, True), done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(("option", "code"), [("STRATGY=uniform", 2), ("STRATEGY=uniform", 0), ("ARGS=a=1 b=2", 0)])
def test_an_option_that_does_not_exist_is_refused(option: str, code: int) -> None:
    done = subprocess.run(["make", "-n", "help", option], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (f"{option}: no such option" in done.stderr) == bool(code)
    assert done.stderr.count("\n") == bool(code)
