from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import step
from benchmarks.step import bench_step
from pose_oad.cli.command import compose_config


@pytest.mark.slow
def test_every_case_is_timed_per_frame(student_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_STEPS", 1)
    threads = torch.get_num_threads()
    overrides = ["repeats=1", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]"]
    figures = {figure.name: figure for figure in bench_step(compose_config("bench", overrides))}
    assert torch.get_num_threads() == threads
    assert figures.keys() == {f"step.{name}" for name in [*step._CASES, "ratio"]}
    assert all(figure.value > 0 and len(figure.samples) == 3 for figure in figures.values())
    assert [name for name, figure in figures.items() if figure.limit] == ["step.ratio"]
