from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import selection
from benchmarks.selection import bench_selection
from pose_oad.cli.command import compose_config


@pytest.mark.slow
def test_every_strategy_is_timed_and_only_cheap_ones_have_a_limit(
    student_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_FRAMES", 30)
    threads = torch.get_num_threads()
    overrides = ["repeats=1", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]"]
    figures = {figure.name: figure for figure in bench_selection(compose_config("bench", overrides))}
    assert torch.get_num_threads() == threads
    assert all(figure.value > 0 for figure in figures.values())
    assert figures["selection.jump"].limit == 0.05
    assert figures["selection.mir"].limit is None
    assert "selection.mir.look" in figures
    assert "selection.jump.look" not in figures
