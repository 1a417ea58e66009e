from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.synthetic.generate import World, generate
from datamodules.synthetic.plan import Recordings

TINY = World(
    train_images=12, val_images=3, image_size=160,
    recordings=(Recordings("S1", 2, 12), Recordings("S5", 1, 5), Recordings("S9", 1, 5)),
    frame_size=96, cameras=("54138969", "55011271"),
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete small world, made in this process."""
    root = tmp_path_factory.mktemp("world") / "synthetic"
    generate(TINY, root, workers=0)
    return root
