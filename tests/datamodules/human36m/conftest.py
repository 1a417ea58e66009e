from __future__ import annotations

from pathlib import Path

import pytest

from tests.media import write_full_sequence


@pytest.fixture(scope="session")
def full_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Human3.6M tree as downloaded: S1, two sequences of two cameras, 30 and 24 frames of 64x64 px, 2-D and 3-D."""
    root = tmp_path_factory.mktemp("as_downloaded")
    for title, frames in (("Walking", 30), ("Walking 1", 24)):
        write_full_sequence(root, "S1", title, ("54138969", "55011271"), frames)
    return root
