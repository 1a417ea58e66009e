"""Services whose adapter is a stand-in."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pose_oad.live.camera import Camera, CameraOptions
from pose_oad.live.mailbox import Mailbox
from pose_oad.live.outputs import Outputs, Pose
from pose_oad.live.server import Server
from pose_oad.live.serving import ServingStudent
from pose_oad.live.supervisor import Supervisor
from pose_oad.tracking.errors import UserError
from tests.videos import write_counting
from tests.windows import small_student

ADAPTER = Path(__file__).with_name("adapter.py")


def prepare_weights(folder: Path, versions: int) -> None:
    """Lay so many versions ready, for the stand-in to publish."""
    other, student = Mailbox(folder / "other"), small_student()
    for version in range(versions):
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(0.02)
        other.publish(student, version)
        other.path.rename(folder / f"next-{version}.safetensors")
        if version < versions - 1:
            (folder / "other" / "weights.safetensors").write_bytes(
                (folder / f"next-{version}.safetensors").read_bytes()
            )


class Service:
    """A service in this process, at a film of 25 frames/s that is looped, and what it has said."""

    def __init__(self, folder: Path, behaviour: str = "learns", seconds: float | None = None) -> None:
        film = folder / "film.mp4"
        if not film.exists():
            write_counting(film, count=50, size=64)
        self.poses: list[Pose] = []
        mailbox = Mailbox(folder)
        camera = Camera(CameraOptions(str(film), loop=True, seconds=seconds))
        command = [sys.executable, str(ADAPTER), str(folder), behaviour]
        self.adapter = Supervisor(command, folder / "adapter.log", 1, 10)
        serving = ServingStudent(small_student(), mailbox.read())
        outputs = Outputs({"list": self.poses.append})
        self.server = Server(camera, serving, self.adapter, mailbox, outputs, folder)
        self.refused: UserError | None = None

    def run(self) -> None:
        try:
            self.server.run()
            self.server.finish()
        except UserError as error:
            self.refused = error
        finally:
            self.adapter.stop(5.0)
            self.server.outputs.close()
            self.server.write_status()


@contextmanager
def serving(folder: Path, behaviour: str = "learns", seconds: float | None = None) -> Iterator[Service]:
    """Run a service in a thread; it has ended behind the block."""
    service = Service(folder, behaviour, seconds)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
    finally:
        service.server.stopping.set()
        thread.join()


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
