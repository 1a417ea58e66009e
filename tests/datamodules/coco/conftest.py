from __future__ import annotations

from pathlib import Path

import pytest

from tests.coco import small_set, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The small COCO tree of tests.coco."""
    return write_tree(tmp_path / "coco", small_set())
