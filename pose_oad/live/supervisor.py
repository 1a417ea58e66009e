"""Keep an adapter running: another process, which may be slow, fail or be killed while serving goes on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from pose_oad.live.camera import Moment
from pose_oad.live.handover import Handover, Wish
from pose_oad.tracking.errors import UserError

_LOG = logging.getLogger(__name__)

#: File with the configuration of the adapter's runs, in a service's folder.
CONFIG = "adapter.yaml"
REFUSED = 2  # exit code of an adapter that cannot use what it was given
_LONGEST_PAUSE = 60.0  # s before an adapter that fails again and again is started anew
_LARGEST_LOG = 2**20  # bytes


class Supervisor(threading.Thread):
    """Start the adapter, hand it frames, hear its reports, and start it again when it dies.

    Args:
        command: starts it; its standard input is a socket
        log: file of what it prints
        threads: of its numerical libraries
        capacity: frames that wait for it at most

    Attributes:
        report: is told what it says: a kind, and values by name
        state: what it does, in a word or two
        error: why it failed last; empty: it has not, or has learnt from a window since
        restarts: how often it was started again
        refusal: what it refused to begin with; None: it has begun
        paused: whether it is given no frames
    """

    def __init__(self, command: Sequence[str], log: Path, threads: int, capacity: int) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.command, self.log, self.threads, self.capacity = command, log, threads, capacity
        self.report: Callable[[str, Mapping[str, Any]], None] = lambda kind, values: None
        self._stopped = threading.Event()
        self.state, self.error, self.restarts, self.paused = "starting", "", 0, False
        self.refusal: str | None = None
        self.busy_since: float | None = None
        self._begun, self._dropped, self._pause = False, 0, 1.0
        self._handover: Handover | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def dropped(self) -> int:
        """Frames that it was not given since it was busy."""
        return self._dropped + (0 if self._handover is None else self._handover.dropped)

    @property
    def busy(self) -> bool:
        """Whether it works on a window."""
        return self.busy_since is not None

    def give(self, moment: Moment, seen: np.ndarray) -> None:
        """Give a frame, see :meth:`Handover.give`."""
        if self._handover is not None and not self.paused:
            self._handover.give(moment, seen)

    def end_of_frames(self) -> None:
        """Say that nothing follows: it finishes its run."""
        self._stopped.set()
        if self._handover is not None:
            self._handover.close()

    def stop(self, patience: float) -> None:
        """Let it finish its window and keep its state; after so many s it is killed."""
        self._stopped.set()
        if self._connection is not None and not self._connection.closed:
            with socket.socket(fileno=os.dup(self._connection.fileno())) as end:
                end.shutdown(socket.SHUT_WR)
        if self.is_alive():
            self.join(patience)
        if self._process is not None and self._process.poll() is None:
            _LOG.warning("the adapter did not end within %g s: killed, it goes on behind its last window", patience)
            self._process.kill()
            self._process.wait()

    def run(self) -> None:
        """Start it, again and again."""
        while not self._stopped.is_set():
            code = self._once()
            self.busy_since, self._handover = None, None
            if code == 0 or self._stopped.is_set():
                self.state = "ended"
                return
            if code == REFUSED and not self._begun:
                self.refusal = self.error
            self.state = f"waiting {self._pause:g} s to start again"
            _LOG.warning("adapter: ended with %d%s; started again in %g s", code, self.error and f" ({self.error})",
                         self._pause)  # fmt: skip
            self._stopped.wait(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self.restarts += 1

    def _once(self) -> int:
        """Run it to its end; return its exit code."""
        self.state = "starting"
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.unlink()
        ours, its = multiprocessing.Pipe()
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        # A group of its own, which Ctrl-C does not reach, but no session: Linux shares the processor out by session,
        # and niceness counts only inside one.
        with self.log.open("ab") as log:
            process = self._process = subprocess.Popen(
                self.command, stdin=its.fileno(), stdout=log, stderr=log, env=environment, process_group=0
            )
        its.close()
        handover = self._handover = Handover(ours, self.capacity)
        self._connection = ours
        handover.start()
        self._listen(ours, handover)
        handover.close()
        code = process.wait()
        handover.join(1.0)
        self._dropped += handover.dropped
        self._connection = None
        ours.close()
        return code

    def _listen(self, connection: Connection, handover: Handover) -> None:
        while True:
            try:
                kind, values = connection.recv()
            except (EOFError, OSError):
                return
            if kind == "wish":
                handover.begin(Wish(**values))
                self._begun, self.state = True, "collecting a window"
            elif kind == "busy":
                self.busy_since, self.state = time.monotonic(), "learning"
            elif kind == "window":
                self.busy_since, self.state, self._pause, self.error = None, "collecting a window", 1.0, ""
            elif kind == "failed":
                self.error = str(values["error"])
            try:
                self.report(kind, values)
            except UserError as error:
                _LOG.warning("adapter: %s", error)
