"""Small studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pose_oad.studies.plan import Study
from pose_oad.studies.queue import TrialQueue


@pytest.fixture
def study() -> Study:
    """Two strategies and a reference, two seeds."""
    return Study(
        name="small",
        question="Which?",
        seeds=[0, 1],
        grid={"strategy": ["random", "uniform"]},
        references=[],
    )


@pytest.fixture
def queue(tmp_path: Path) -> TrialQueue:
    return TrialQueue(tmp_path / "study", None, "small")


@pytest.fixture
def online_settings(human36m_tree: Path, student_checkpoint: Path) -> Callable[..., list[str]]:
    """Overrides of a sweep whose trials take a second: 108 frames of 64x64 px in five windows."""

    def settings(**further: object) -> list[str]:
        values = {
            "stream.root": human36m_tree, "checkpoint": student_checkpoint, "student.input_size": "[64,64]",
            "window.seconds": "null", "window.frames": 25, "training.epochs": 1, "rate": 0.2,
            "trainer.accelerator": "cpu", **further,
        }  # fmt: skip
        return ["study.set={}", *(f"+study.set.{key}={value}" for key, value in values.items())]

    return settings
