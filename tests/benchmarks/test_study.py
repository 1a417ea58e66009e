"""The benchmark of the study runner, on a stream of 108 frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import study
from pose_oad.cli.command import compose_config
from pose_oad.tracking.errors import UserError


@pytest.mark.slow
def test_the_same_trials_are_run_three_ways(
    human36m_tree: Path, student_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "_STRATEGIES", ("random",))
    cfg = compose_config("bench", [
        f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]",
        "window.seconds=null", "window.frames=25", "framework=paper", "training.epochs=1", "share=0.5",
    ])  # fmt: skip
    figures = {figure.name: figure for figure in study.bench_study(cfg)}
    seconds = {name: figures[f"study.{name}"].value for name in ("alone", "one", "two")}
    assert min(seconds.values()) > 0
    assert figures["study.overhead"].value == pytest.approx(seconds["one"] / seconds["alone"])
    assert figures["study.speed_up"].value == pytest.approx(seconds["one"] / seconds["two"])
    assert (figures["study.overhead"].limit, figures["study.speed_up"].limit) == (1.05, 1.6)
    assert "2 trials of 0.5 of the stream" in figures["study.overhead"].how
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_another_choice_is_refused() -> None:
    cfg = compose_config("online", ["teacher=checkpoint"])
    with pytest.raises(UserError, match="only=study=teacher"):
        study._changed(cfg)
