"""The recipe "Leave it running at a camera", on a short film: learning, kills, and going on."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pose_oad.cli.command import compose_config
from tests.pose_oad.live.services import wait_for
from tests.videos import write_counting

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "live.md").read_text()


def status(folder: Path) -> dict[str, Any]:
    path = folder / "status.json"
    return json.loads(path.read_text()) if path.exists() else {"serving": {"generation": 0}, "adapter": {}}


def generation(folder: Path) -> int:
    return status(folder)["serving"]["generation"]


def poses(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "segments").glob("poses-*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().split("\n")[:-1]]


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        process = subprocess.Popen(command, cwd=ROOT, stderr=file, env=os.environ | {"PYTHONPATH": str(ROOT)})
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(120)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_recipe(student_checkpoint: Path, tmp_path: Path) -> None:
    film, folder, log = (
        write_counting(tmp_path / "film.mp4", count=60, size=64, rate=20),
        tmp_path / "live",
        tmp_path / "log",
    )
    [given] = re.findall(r"^make live (.*)$", PAGE, re.MULTILINE)
    given = given.replace("rtsp://camera.local/stream", str(film)).replace("teacher.onnx", "checkpoint")
    more = [
        "modules=[tests.pose_oad.live.teacher]", "teacher._target_=tests.pose_oad.live.teacher.Somebody",
        f"checkpoint={student_checkpoint}", "student.input_size=[64,64]",
        "camera.loop=true", "window.seconds=null", "window.frames=20", "training.steps=2", "rate=0.1", "logger=local",
        f"output.folder={folder}", "web.port=0", "trainer.accelerator=cpu", "adapter.nice=0",
    ]  # fmt: skip
    options = [*shlex.split(given), f"ARGS={' '.join(more)}"]
    said = subprocess.run(["make", "-n", "live", *options], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in said.splitlines() if "pose_oad.cli live" in line]
    command = [sys.executable, *shlex.split(line)[1:]]

    with running(command, log) as service:
        wait_for(lambda: generation(folder) >= 2 or service.poll() is not None, 300)
        assert service.poll() is None, log.read_text()
        adapter, served = status(folder)["adapter"], len(poses(folder))
        os.kill(adapter["pid"], signal.SIGKILL)
        wait_for(lambda: status(folder)["adapter"]["restarts"] == 1, 300)
        windows, before = status(folder)["adapter"]["windows"], generation(folder)
        wait_for(lambda: status(folder)["adapter"]["windows"] > windows and generation(folder) > before, 300)
        assert len(poses(folder)) > served + 10
        service.kill()
    last = generation(folder)
    served = len(poses(folder))
    with running(
        [sys.executable, "-m", "pose_oad.cli", "live", f"resume={folder}", "modules=[tests.pose_oad.live.teacher]"], log
    ) as service:
        wait_for(lambda: len(poses(folder)) > served or service.poll() is not None, 300)
        assert service.poll() is None, log.read_text()
        assert poses(folder)[served]["generation"] >= last
        wait_for(lambda: generation(folder) > last + 1, 300)
    assert service.returncode == 0
    [run] = (folder / "runs").iterdir()  # one, that was gone on with
    rows = [json.loads(row) for row in (run / "ledger.jsonl").read_text().splitlines()]
    assert [row["window"] for row in rows] == list(range(len(rows)))
    assert len(rows) >= 3
    assert all(row["latency/ready_s"] > row["latency/closed_s"] for row in rows)
    assert (run / "unfinished" / "state.ckpt").exists()


def test_the_unit_can_be_composed() -> None:
    [command] = re.findall(r"^ExecStart=\S+/pose-oad live (.*)$", PAGE, re.MULTILINE)
    cfg = compose_config("live", shlex.split(command))
    assert cfg.camera.path == "rtsp://camera.local/stream"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["camera.path=nowhere.mp4"], "camera.path=nowhere.mp4"),
        (["camera.path=null"], "camera.path=None"),
        (["camera.path=0", "web.host=0.0.0.0"], "web.token"),
        (["camera.path=0", "adapter.nice=-5"], "adapter.nice=-5"),
        (["camera.path=0", "output.cap_mb=0"], "output.cap_mb=0"),
        (["resume=nowhere"], "resume=nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(overrides: list[str], message: str) -> None:
    from pose_oad.cli import live
    from pose_oad.tracking.errors import UserError

    with pytest.raises(UserError, match=re.escape(message)):
        live.main(compose_config("live", overrides))
