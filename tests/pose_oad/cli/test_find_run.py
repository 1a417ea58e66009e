from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from pose_oad.cli.resuming import find_run, resumable
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.run_folder import NAME


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs, the oldest first."""
    for age, (run, name) in enumerate((("ab12", "one"), ("ab34", "two"), ("cd56", "one"))):
        (tmp_path / run).mkdir()
        (tmp_path / run / "config.yaml").write_text("")
        (tmp_path / run / NAME).write_text(f"{name}\n")
        os.utime(tmp_path / run / "config.yaml", (age, age))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "found"), [("ab12", "ab12"), ("c", "cd56"), ("last", "cd56"), ("one", "cd56"), ("two", "ab34")]
)
def test_a_run_is_found_by_what_is_remembered_of_it(runs: Path, given: str, found: str) -> None:
    assert find_run("run", given, runs) == runs / found
    assert find_run("run", str(runs / found), Path("elsewhere")) == runs / found


@pytest.mark.parametrize("given", ["ab", "three", ""])
def test_none_or_several_are_refused(runs: Path, given: str) -> None:
    with pytest.raises(UserError, match=f"resume={given}: expected last, .*id"):
        find_run("resume", given, runs)


def test_what_stops_says_by_which_command_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)
    with (
        pytest.raises(UserError, match=r"full; .*pose-oad finetune resume=runs/ab12$"),
        resumable("finetune", Path("runs/ab12")),
    ):
        raise UserError("full")
    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit), resumable("online", Path("my runs/ab12")):
        raise SystemExit(1)
    assert caplog.messages[-1].endswith("""pose-oad online 'resume='"'"'my runs/ab12'"'"''""")
    monkeypatch.setenv("MAKELEVEL", "1")
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt), resumable("online", Path("runs/ab12")):
        raise KeyboardInterrupt
    assert caplog.messages[-1].endswith("make online RESUME=runs/ab12")
