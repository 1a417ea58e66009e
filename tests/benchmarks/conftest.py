from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pose_oad.cli.command import compose_config

Configure = Callable[..., DictConfig]


@pytest.fixture
def configure(human36m_tree: Path, student_checkpoint: Path, tmp_path: Path) -> Configure:
    """Compose conf/bench.yaml for a stream of 108 frames, one round."""
    fixed = [
        f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]",
        "window.seconds=null", "window.frames=25",
        "framework=paper", "training.epochs=2", "training.batch_size=4", "rate=0.2",
        "repeats=1", "share=1.0", f"output.file={tmp_path / 'out' / 'bench.json'}",
    ]  # fmt: skip
    return lambda *more: compose_config("bench", [*fixed, *more])
