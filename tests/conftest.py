"""What every test shares: where real sample files are, and a quiet, single-process torch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real photographs, a real video and a real teacher; the test is skipped where it is absent."""
    folder = Path(os.environ.get("POSE_OAD_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real sample files: POSE_OAD_TEST_DATA={folder} is not a folder")
    return folder
