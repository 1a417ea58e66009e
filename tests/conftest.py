"""What every test shares: where real sample files are, and a quiet, single-process torch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pose_oad.students import StudentConfig, build_student
from pose_oad.students.checkpoint import save_student
from tests.media import write_sequence

ROOT = Path(__file__).resolve().parents[1]

# What stops says how it goes on, with make or without: as if the tests had not been started by `make test`.
os.environ.pop("MAKELEVEL", None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real photographs, a real video and a real teacher; the test is skipped where it is absent."""
    folder = Path(os.environ.get("POSE_OAD_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real sample files: POSE_OAD_TEST_DATA={folder} is not a folder")
    return folder


class SmallDisk:
    """A disk of 8 MB that can be filled up.

    Args:
        folder: where it is mounted
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._filler = folder, folder / "filler"

    def fill(self, left: int) -> None:
        """Leave so many bytes free, in whole blocks."""
        self._filler.unlink(missing_ok=True)
        free = os.statvfs(self.folder)
        self._filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - left)))

    def make_room(self) -> None:
        """Free what was filled."""
        self._filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A real disk that can be full; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk: mounting one is not allowed")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def human36m_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Human3.6M tree: S1 with three sequences of one camera, 60, 45 and 30 frames of 64x64 px."""
    root = tmp_path_factory.mktemp("human36m")
    for name, frames in (("Walking 1", 60), ("Eating 2", 45), ("TakingPhoto", 30)):
        write_sequence(root, "S1", name, "55011271", frames)
    return root


@pytest.fixture(scope="session")
def student_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small student at 64x64 px with random weights."""
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(64, 64), sigma=0.04))
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    save_student(student, path)
    return path
