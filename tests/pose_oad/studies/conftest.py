"""Small studies."""

from __future__ import annotations

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
        objectives=["mpjpe_px"],
    )


@pytest.fixture
def queue(tmp_path: Path) -> TrialQueue:
    return TrialQueue(tmp_path / "study", None, "small")
