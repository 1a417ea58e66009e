from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pose_oad.cli import compose_config
from pose_oad.data import main
from pose_oad.errors import UserError

SMALL = [
    "workers=0", "train_images=1", "val_images=1", "image_size=64", "stream_sequences=1", "stream_frames=2",
    "other_sequences=1", "other_frames=2", "frame_size=64", "cameras=[55011271]",
]  # fmt: skip


def test_the_command_makes_the_world_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    overrides = [f"root={tmp_path}/world", *SMALL]
    with caplog.at_level(logging.INFO):
        root = main(compose_config("data", overrides))
        assert (root / "contact_sheet.png").is_file()
        assert "made" in caplog.text
        main(compose_config("data", overrides))
    assert "already there" in caplog.text


@pytest.mark.parametrize(
    "override",
    ["workers=-1", "workers=many", "overwrite=perhaps", "cameras=55011271", "cameras=[1]", "frame_size=99", "seed=x"],
)
def test_bad_values_are_named(tmp_path: Path, override: str) -> None:
    with pytest.raises(UserError, match=f"^{override.split('=')[0]}="):
        main(compose_config("data", [f"root={tmp_path}/world", *SMALL, override]))
    assert not (tmp_path / "world").exists()


def test_the_defaults_of_config_and_code_agree() -> None:
    from datamodules.synthetic.generate import World

    cfg = compose_config("data")
    for key, value in vars(World()).items():
        assert (tuple(cfg[key]) if key == "cameras" else cfg[key]) == value


@pytest.mark.slow
def test_a_mistake_ends_with_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    command = [sys.executable, "-m", "pose_oad.data", f"root={tmp_path}", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"root={tmp_path}" in done.stderr
