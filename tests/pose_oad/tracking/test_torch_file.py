"""A file of torch is the old one or the whole new one, and a full disk is said as such."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from pose_oad.tracking.errors import UserError
from pose_oad.tracking.torch_file import read_torch_file, write_torch_file
from tests.conftest import SmallDisk


def test_a_full_disk_leaves_the_last_state_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_torch_file(tmp_path / "state.ckpt", {"window": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"state.ckpt: .*No space left on device"):
        write_torch_file(tmp_path / "state.ckpt", {"window": 2})
    assert read_torch_file(tmp_path / "state.ckpt") == {"window": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.ckpt"]


def test_an_interrupt_while_the_state_is_written_is_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_torch_file(tmp_path / "state.ckpt", {"window": 1})

    def interrupted(*_: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("unexpected pos 64 vs 0")  # as torch's writer does when it is closed half-way

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_torch_file(tmp_path / "state.ckpt", {"window": 2})
    assert read_torch_file(tmp_path / "state.ckpt") == {"window": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.ckpt"]


@pytest.mark.parametrize("left", [0, 100_000])
def test_torchs_own_writer_reports_a_full_disk_too(small_disk: SmallDisk, left: int) -> None:
    small_disk.fill(left)
    path = small_disk.folder / "state.ckpt"
    with pytest.raises(UserError, match=r"state.ckpt: .*No space left on device"):
        write_torch_file(path, {"weights": torch.zeros(1_000_000)})
    assert [entry.name for entry in small_disk.folder.iterdir()] == ["filler"]
