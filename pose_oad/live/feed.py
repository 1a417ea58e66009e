"""Frames as the adapter reads them: a frame source like any other, whose frames a server hands over."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from datamodules.video.clips import Clip, DecodedFrame, FrameSizes
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.schema import Count, Positive, Text

_ARRIVALS = 100_000  # frames of which the time is remembered
_PATIENCE = 0.5  # s between two looks whether the run has ended


class ServerGoneError(Exception):
    """The server has ended, or says that it is time to end: the run can be gone on with."""


class Link:
    """The adapter's end of its connection to the server.

    Args:
        connection: to the server
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def say(self, kind: str, **values: Any) -> None:
        """Send a message to the server; where it has gone there is nobody to tell."""
        with self._lock:
            try:
                self._connection.send((kind, values))
            except OSError:
                return

    def frames(self, ended: Callable[[], bool]) -> Iterator[tuple[Any, ...]]:
        """Yield what :class:`~pose_oad.live.handover.Handover` sends, until ``ended`` or its end.

        Raises:
            ServerGoneError: if the server has gone.
        """
        try:
            while not ended():
                if self._connection.poll(_PATIENCE):
                    message = self._connection.recv()
                    if message is None:
                        return
                    yield message
        except (EOFError, OSError) as error:
            raise ServerGoneError from error


@cache
def own_link() -> Link:
    """Return the link of this process, which a server has started: its standard input is a socket."""
    return Link(Connection(0))


class ServedFeed:
    """Frames from a link, numbered in the adapter's stream.

    Args:
        link: to the server
    """

    def __init__(self, link: Link) -> None:
        self._link, self._stopped = link, False
        self._arrivals: OrderedDict[int, float] = OrderedDict()

    def arrived(self, frame: int) -> float | None:
        """Return when a frame of the stream was taken, by the machine's monotonic clock, s; None: nobody knows."""
        return self._arrivals.get(frame)

    def newest(self) -> tuple[int, float] | None:
        """Return number and time of the newest frame, as :meth:`arrived`; None before the first."""
        return next(reversed(self._arrivals.items())) if self._arrivals else None

    def frames(
        self, sizes: FrameSizes, rate: float | None, teacher_every: int, first: int, after: int | None
    ) -> Iterator[DecodedFrame]:
        """Yield frames from now on; see :meth:`datamodules.video.live.LiveFeed.frames`."""
        self._stopped = False
        self._link.say("wish", teacher=sizes.teacher, every=teacher_every, first=first)
        place = first
        for number, taken_s, dropped, student, teacher in self._link.frames(lambda: self._stopped):
            self._arrivals[place] = taken_s
            if len(self._arrivals) > _ARRIVALS:
                self._arrivals.popitem(last=False)
            place += 1
            yield DecodedFrame(number, student, teacher, dropped)

    def stop(self) -> None:
        """End the frames; called from another thread."""
        self._stopped = True


class ServedSource:
    """The frames of a service's camera, without ground truth; ``pose-oad live`` fills its arguments in.

    Args:
        name: what the camera is called
        width: of its frames, px
        height: of its frames, px
        rate: frames/s
        metric_width: width of the image in which distances are reported, px; None: the original frame
    """

    plays_once = True
    skeleton: Skeleton | None = None
    together = 1

    def __init__(
        self, name: Text, width: Count, height: Count, rate: Positive, metric_width: Positive | None = None
    ) -> None:
        self.metric_width, self.feed = metric_width, ServedFeed(own_link())
        live: Any = self.feed
        self.clips = [Clip(name, Path(name), (width, height), rate, 0, 0, live=live)]
