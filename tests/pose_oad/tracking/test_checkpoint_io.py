from __future__ import annotations

from pathlib import Path

import torch

from pose_oad.tracking.checkpoint_io import AtomicCheckpointIO


def test_a_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    for epoch in range(2):
        AtomicCheckpointIO().save_checkpoint({"epoch": epoch}, tmp_path / "deeper" / "last.ckpt")
    assert torch.load(tmp_path / "deeper" / "last.ckpt", weights_only=True) == {"epoch": 1}
    assert [path.name for path in (tmp_path / "deeper").iterdir()] == ["last.ckpt"]
