"""The service: every frame is predicted when it comes, by the newest weights that are there."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pose_oad.live.camera import Camera
from pose_oad.live.figures import Figures
from pose_oad.live.mailbox import Mailbox
from pose_oad.live.outputs import Outputs, Pose
from pose_oad.live.serving import ServingStudent
from pose_oad.live.supervisor import Supervisor
from pose_oad.predict.batches import Placement
from pose_oad.predict.poses import Counting, StudentReader
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import UnwritableError, UserError
from pose_oad.tracking.files import replacing

_LOG = logging.getLogger(__name__)
_TICK = 1.0  # s between two looks at what else has to be done

#: What a user may ask for.
Action = Literal["pause", "resume", "back", "save"]


class Server:
    """Predict frames, hand them to the adapter, take its weights, and say how it goes.

    Args:
        camera: where frames come from
        serving: who predicts
        adapter: who learns
        mailbox: through which weights come
        outputs: where poses go
        folder: where ``status.json`` and saved students are written
        people: how many people of a frame are looked for

    Attributes:
        latest: the newest pose; None before the first
        stopping: is set by whoever wants the service to end
    """

    def __init__(
        self, camera: Camera, serving: ServingStudent, adapter: Supervisor, mailbox: Mailbox, outputs: Outputs,
        folder: Path, people: Counting = "single",
    ) -> None:  # fmt: skip
        self.camera, self.serving, self.adapter, self.mailbox = camera, serving, adapter, mailbox
        self.outputs, self.folder, self.figures = outputs, folder, Figures(camera.rate)
        self.latest: Pose | None = None
        self.stopping, self._served = threading.Event(), threading.Event()
        adapter.report = self.heard
        student = serving.student
        self._people, self._reader = people, StudentReader(student, student.resize_mode, people)
        self._place = Placement(self._reader.resize)
        self._content = self._reader.resize(camera.size).content
        self._actions: dict[str, Callable[[], str]] = {
            "pause": self._pause, "resume": self._resume, "back": self._back, "save": self._save,
        }  # fmt: skip

    def run(self) -> None:
        """Serve until the camera ends or :attr:`stopping` is set.

        Raises:
            UserError: if the adapter refuses what a new service was given.
        """
        for thread in (self.camera, self.adapter, self.outputs, threading.Thread(target=self._tick, daemon=True)):
            thread.start()
        try:
            self._serve()
        finally:
            self._served.set()
            self.camera.stop()

    def finish(self) -> None:
        """Let the adapter finish its run where the camera has ended by itself, unless somebody wants it to end."""
        if not self.stopping.is_set():
            self.adapter.end_of_frames()
        while self.adapter.is_alive() and not self.stopping.wait(_TICK / 4):
            pass

    def _serve(self) -> None:
        while not self.stopping.is_set():
            try:
                moment = self.camera.newest(_TICK)
            except TimeoutError:
                moment = None
                if self.adapter.refusal is None:
                    continue
            if self.adapter.refusal is not None and self.mailbox.generation() == 0:
                raise UserError(self.adapter.refusal)
            if moment is None:
                return
            if self.serving.swap():
                self._swapped()
            learning, begun = self.adapter.busy, time.monotonic()
            seen = self._place(moment.frame)
            assert seen is not None
            [found] = self._reader.read([seen], [self.camera.size], moment.number)
            now = time.monotonic()
            pose = Pose(moment, found, self.serving.version.generation, now - moment.taken_s)
            self.figures.predicted(pose.latency_s, now - begun, learning)
            self.latest = pose
            self.outputs.put(pose)
            left, top, width, height = self._content
            self.adapter.give(moment, seen[top : top + height, left : left + width])

    def _swapped(self) -> None:
        student = self.serving.student
        self._reader = StudentReader(student, student.resize_mode, self._people)
        self.figures.swaps = self.serving.swaps

    def heard(self, kind: str, values: Mapping[str, Any]) -> None:
        """Take what the adapter says."""
        if kind == "window":
            self.figures.window_closed(values)
            published = self.mailbox.read()
            if published is not None and published.generation > self.serving.version.generation:
                self.serving.offer(published)

    def ask(self, action: Action) -> str:
        """Do what a user asks for, and say what has been done.

        Raises:
            UserError: if it cannot be done.
        """
        said = self._actions[action]()
        _LOG.info("%s", said)
        return said

    def _pause(self) -> str:
        self.adapter.paused = True
        return "adaptation is paused: no frames are handed over"

    def _resume(self) -> str:
        self.adapter.paused = False
        return "adaptation goes on"

    def _back(self) -> str:
        student = self.serving.before()
        if student is None:
            raise UserError("back: no earlier weights are kept; expected a swap before")
        generation = self.mailbox.go_back(student)
        self.serving.go_back_to(student, generation)
        return f"the weights before are served again, as generation {generation}; adaptation goes on from them"

    def _save(self) -> str:
        path = self.folder / "saved" / f"generation-{self.serving.version.generation}.safetensors"
        save_student(self.serving.student, path)
        return f"saved as {path}"

    def status(self) -> dict[str, Any]:
        """Return how it goes, in plain values."""
        camera, adapter, version, figures = self.camera, self.adapter, self.serving.version, self.figures
        busy = adapter.busy_since
        window = dict(figures.window)
        return {
            "camera": {
                "source": camera.source, "state": camera.state, "rate": camera.rate, "skipped": camera.skipped,
                "lost": camera.lost,
            },
            "serving": figures.served() | {"generation": version.generation, "age_s": time.time() - version.made_s},
            "adapter": {
                "state": "paused" if adapter.paused else adapter.state, "restarts": adapter.restarts,
                "dropped": adapter.dropped, "error": adapter.error, "paused": adapter.paused,
                "busy_s": 0.0 if busy is None else time.monotonic() - busy, "windows": figures.windows,
                "pid": adapter.pid,
            },
            "window": window,
            "outputs": {"dropped": self.outputs.dropped, "failed": dict(self.outputs.failed)},
        }  # fmt: skip

    def _tick(self) -> None:
        while not self._served.wait(_TICK):
            self.write_status()

    def write_status(self) -> None:
        """Write ``status.json``, in one step."""
        try:
            with replacing(self.folder / "status.json") as partial:
                partial.write_text(json.dumps(self.status(), indent=1) + "\n")
        except UnwritableError as error:  # as on a full disk: serving goes on
            _LOG.warning("%s", error)
