"""A mistyped option of make is a mistake, not a run with the defaults."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(("option", "code"), [("STRATGY=uniform", 2), ("STRATEGY=uniform", 0), ("ARGS=a=1 b=2", 0)])
def test_an_option_that_does_not_exist_is_refused(option: str, code: int) -> None:
    done = subprocess.run(["make", "-n", "help", option], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (f"{option}: no such option" in done.stderr) == bool(code)
    assert done.stderr.count("\n") == bool(code)
