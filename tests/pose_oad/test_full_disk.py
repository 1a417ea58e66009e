"""A disk that is full: one line that names the file, nothing half-written, and it works when there is room."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from pose_oad.cli.command import compose_config
from pose_oad.cli.data import main as data
from pose_oad.cli.online import main
from pose_oad.tracking.errors import UserError
from tests.conftest import SmallDisk

FULL = r"cannot be written \(No space left on device\)"


@pytest.fixture
def overrides(
    human36m_tree: Path, student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [
        "student.input_size=[64,64]", "window.seconds=null", "window.frames=25",
        "framework=paper", "training.epochs=1", "rate=0.2",
        "trainer.accelerator=cpu", "strategy=random", "output.figures=false", f"stream.root={human36m_tree}",
        f"checkpoint={student_checkpoint}", f"output.folder={tmp_path}/disk/runs",
        f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db",  # MLflow keeps one store per name in a process
    ]  # fmt: skip


@pytest.mark.slow
def test_a_run_promises_to_go_on_only_where_it_can(overrides: list[str], small_disk: SmallDisk, tmp_path: Path) -> None:
    runs = small_disk.folder / "runs"
    small_disk.fill(0)
    with pytest.raises(UserError, match=rf"{FULL}$"):
        main(compose_config("online", overrides))
    assert not list(runs.rglob("*.*"))
    small_disk.fill(8192)  # for the configuration, not for what the first window leaves
    with pytest.raises(UserError, match=rf"(ledger.jsonl|state.ckpt): {FULL}; .*resume=") as early:
        main(compose_config("online", overrides))
    small_disk.fill(2_000_000)  # for the state, but not for two of them
    with pytest.raises(UserError, match=rf"state.ckpt: {FULL}; .*resume=") as stopped:
        main(compose_config("online", overrides))
    small_disk.make_room()
    for refused in (early, stopped):
        name = str(refused.value).partition("resume=")[2].split()[0]
        assert main(compose_config("online", [f"resume={name}", f"output.folder={runs}"]))["frames"] == 108
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("online").experiment_id])
    assert sorted(run.info.status for run in found) == ["FINISHED"] * 2


@pytest.mark.slow
def test_a_frame_cache_that_does_not_fit_is_named(overrides: list[str], small_disk: SmallDisk) -> None:
    cache = small_disk.folder / "cache"
    given = [
        *overrides,
        f"window.cache={cache}",
        "output.folder=runs",
        "logger=local",
        "+trainer.limit_train_batches=1",
    ]
    small_disk.fill(4096)
    with pytest.raises(UserError, match=rf"cache/.*\.h5: {FULL}"):
        main(compose_config("online", given))
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
    small_disk.make_room()
    main(compose_config("online", given))
    assert list(cache.rglob("*.h5"))


@pytest.mark.slow
def test_a_world_that_does_not_fit_leaves_nothing(small_disk: SmallDisk) -> None:
    root = small_disk.folder / "world"
    given = [
        f"root={root}", "train_images=4", "val_images=1", "workers=0",
        "recordings=[{subject:S1,takes:1,frames:4}]", "cameras=[55011271]",
    ]  # fmt: skip
    for left in (0, 30_000, 60_000):
        small_disk.fill(left)
        with pytest.raises(UserError, match="world: cannot be written"):
            data(compose_config("data", given))
        assert {path.name for path in small_disk.folder.iterdir()} == {"filler", "world.lock"}
    small_disk.make_room()
    data(compose_config("data", given))
