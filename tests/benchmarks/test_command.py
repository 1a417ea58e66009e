from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig

from benchmarks import __main__ as bench
from benchmarks.figures import Figure
from pose_oad.cli.command import compose_config
from pose_oad.tracking.errors import UserError

MISSED, KEPT = Figure("b.ratio", 1.2, "x", "b / a", 1.1), Figure("a.ratio", 1.0, "x", "a / b", 1.1)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "new" / "bench.json"


@pytest.fixture
def configured(report: Path, monkeypatch: pytest.MonkeyPatch):
    """Compose a run of two sections that measure nothing."""
    monkeypatch.setattr(bench, "sections", lambda: {"a": lambda cfg: [KEPT], "b": lambda cfg: [MISSED]})

    def compose(*overrides: str) -> DictConfig:
        return compose_config("bench", [f"output.file={report}", *overrides])

    return compose


def test_figures_are_shown_and_written(configured, report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(configured()) == [KEPT, MISSED]
    written = json.loads(report.read_text())
    assert [(figure["name"], figure["ok"]) for figure in written["figures"]] == [("a.ratio", True), ("b.ratio", False)]
    assert {"cores", "torch_threads", "torch", "av", "student"} <= written["facts"].keys()
    shown = capsys.readouterr().out
    assert "a.ratio" in shown
    assert "b.ratio" in shown


@pytest.mark.parametrize("only", ["a", "[a]"])
def test_sections_can_be_chosen(configured, only: str) -> None:
    assert bench.main(configured(f"only={only}")) == [KEPT]


def test_they_keep_their_own_order(configured) -> None:
    assert bench.main(configured("only=[b,a]", "output.file=null")) == [KEPT, MISSED]


def test_a_missed_limit_is_an_exit_code_if_asked(configured, report: Path) -> None:
    with pytest.raises(SystemExit) as exited:
        bench.main(configured("strict=true"))
    assert exited.value.code == 1
    assert report.exists()
    assert bench.main(configured("strict=true", "only=a")) == [KEPT]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("only=[maps,onlin_loop]", "only=onlin_loop: no such section; did you mean 'online_loop'?"),
        ("repeats=0", "repeats=0: expected a whole number, 1 or more"),
        ("strict=maybe", "strict=maybe: expected true or false"),
    ],
)
def test_bad_values_are_named_before_anything_is_measured(tmp_path: Path, override: str, message: str) -> None:
    file = tmp_path / "bench.json"
    with pytest.raises(UserError) as error:
        bench.main(compose_config("bench", [f"output.file={file}", override]))
    assert str(error.value) == message
    assert not file.exists()
