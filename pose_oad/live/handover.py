"""Frames on their way to the adapter: the newest few of them, from a thread of their own."""

from __future__ import annotations

import logging
import threading
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from datamodules.video.buffer import LatestBuffer
from datamodules.video.reading import resize_frame
from pose_oad.live.camera import Moment

_LOG = logging.getLogger(__name__)


class Wish(NamedTuple):
    """What the adapter wants of the frames.

    Attributes:
        teacher: width and height of the teacher's pictures, px; None: it reads no pixels
        every: the teacher wants one frame in this many
        first: number of the next frame in the adapter's stream
    """

    teacher: tuple[int, int] | None
    every: int
    first: int


class Handover(threading.Thread):
    """Send frames to an adapter; while it does not read them, the oldest make room for newer ones.

    Whoever gives a frame never waits.

    Args:
        connection: to the adapter
        capacity: frames that wait at most

    Attributes:
        paused: whether frames are kept from the adapter
    """

    def __init__(self, connection: Connection, capacity: int) -> None:
        super().__init__(name="handover", daemon=True)
        self.paused = False
        self._connection, self._wish = connection, threading.Event()
        self._wanted: Wish | None = None
        self._buffer = LatestBuffer[tuple[Moment, np.ndarray]](capacity)

    @property
    def dropped(self) -> int:
        """Frames that the adapter has not been given since it was busy."""
        return self._buffer.dropped

    def begin(self, wish: Wish) -> None:
        """Begin to send what the adapter wants."""
        self._wanted = wish
        self._wish.set()

    def give(self, moment: Moment, seen: np.ndarray) -> None:
        """Give a frame to be sent, if the adapter is ready.

        Args:
            moment: the frame
            seen: its picture inside the student's input, RGB uint8, shape (height, width, 3)
        """
        if self._wanted is not None and not self.paused:
            self._buffer.put((moment, seen))

    def close(self) -> None:
        """Say that nothing will follow."""
        self._buffer.close()
        self._wish.set()

    def run(self) -> None:
        """Send until it is closed, or the adapter has gone."""
        self._wish.wait()
        try:
            place = 0 if self._wanted is None else self._wanted.first
            while self._wanted is not None and (taken := self._buffer.take()) is not None:
                (moment, seen), dropped = taken
                size = self._wanted.teacher if place % self._wanted.every == 0 else None
                picture = None if size is None else resize_frame(moment.frame, size)
                self._connection.send((moment.number, moment.taken_s, dropped, seen, picture))
                place += 1
            self._connection.send(None)
        except OSError as error:  # it ended, or was killed; whoever started it notices
            _LOG.debug("the adapter takes no more frames: %s", error)
