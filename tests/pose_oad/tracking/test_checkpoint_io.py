from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest
import torch

from pose_oad.tracking.checkpoint_io import AtomicCheckpointIO
from pose_oad.tracking.errors import UserError


def test_a_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    for epoch in range(2):
        AtomicCheckpointIO().save_checkpoint({"epoch": epoch}, tmp_path / "deeper" / "last.ckpt")
    assert torch.load(tmp_path / "deeper" / "last.ckpt", weights_only=True) == {"epoch": 1}
    assert [path.name for path in (tmp_path / "deeper").iterdir()] == ["last.ckpt"]


def test_a_failure_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AtomicCheckpointIO().save_checkpoint({"epoch": 0}, tmp_path / "last.ckpt")

    def full(checkpoint: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(UserError, match=r"last.ckpt: cannot be written \(No space left on device\)"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True) == {"epoch": 0}
