"""A tracking store is made whole, by one process, or not at all."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from pose_oad.tracking.delivery import ensure_experiment
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.store import connect
from tests.conftest import SmallDisk


def make(uri: str) -> str:
    return ensure_experiment(connect(uri), "online", None)


@pytest.mark.slow
def test_a_store_that_does_not_fit_is_made_when_there_is_room(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "mlruns" / "mlflow.db"
    small_disk.fill(500_000)
    with pytest.raises(UserError, match=r"tracking.uri=.*disk is full"):
        connect(f"sqlite:///{path}")
    assert {entry.name for entry in path.parent.iterdir()} <= {"mlflow.db.lock"}
    small_disk.make_room()
    (path.parent / ".mlflow.db-1" / "left").mkdir(parents=True)  # by a kill
    assert connect(f"sqlite:///{path}").create_experiment("online")
    assert {entry.name for entry in path.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.slow
def test_processes_that_need_a_new_store_at_once_share_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(make, [f"sqlite:///{tmp_path}/mlflow.db"] * 2, chunksize=1) == ["1", "1"]
