"""Cameras and live URLs as a frame source: frames come when they come, and those nobody is ready for are dropped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import av

from datamodules.video.buffer import LatestBuffer
from datamodules.video.clips import Clip, DecodedFrame, FrameSizes
from datamodules.video.connections import Address, connect, decode_live, open_live
from datamodules.video.decoding import TIMEOUT, Decoded, reason
from datamodules.video.reading import Ticks, at_sizes
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import UserError, require
from pose_oad.tracking.schema import Number, Positive, Text

log = logging.getLogger(__name__)

_PAUSE = 1.0  # s before a lost connection is tried again, and for the camera's thread to end


@dataclass(frozen=True)
class Patience:
    """How long a stream is waited for, and how long it is played."""

    timeout: float = TIMEOUT  #: s that it may be silent before it counts as lost
    reconnects: int = 1  #: how often it is opened anew, over all of the stream
    seconds: float | None = None  #: s after which it ends; None: when it ends itself


class LiveFeed:
    """Frames of a stream as they arrive, through a buffer whose oldest frames make room.

    A thread decodes and resizes them, so that the buffer holds no more than a run needs. A stream that falls silent or
    breaks off is opened anew; after that, or when the sender ends it, the frames end without an error.

    Args:
        place: what is played, for messages
        connection: opens it: frames as they come, raising what PyAV or this package raises when it is lost
        patience: how long it is waited for
        buffer_frames: frames that are kept while nobody is ready for them
        clock: time, s
    """

    def __init__(
        self,
        place: str,
        connection: Callable[[], Iterator[Decoded]],
        patience: Patience,
        buffer_frames: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place, self.patience, self.buffer_frames = place, patience, buffer_frames
        self._connection, self._clock = connection, clock
        self._buffer: LatestBuffer[DecodedFrame] | None = None
        self._stopped = threading.Event()

    def frames(
        self, sizes: FrameSizes, rate: float | None, teacher_every: int, first: int, after: int | None
    ) -> Iterator[DecodedFrame]:
        """Yield frames from now on; see :func:`~datamodules.video.reading.decode_frames`. None at all is refused."""
        self._stopped = stopped = threading.Event()
        self._buffer = buffer = LatestBuffer[DecodedFrame](self.buffer_frames, teacher_every)
        scaled = self._scaled(stopped, sizes, rate, teacher_every, first, 0 if after is None else after + 1)
        camera = threading.Thread(target=_fill, args=(buffer, scaled), name="camera", daemon=True)
        camera.start()
        # A driver may hang where no time-out reaches it: longer than all attempts take nobody waits.
        longest = (self.patience.reconnects + 1) * (3 * self.patience.timeout + _PAUSE)
        played = 0
        try:
            while (taken := buffer.take(longest)) is not None:
                frame, dropped = taken
                yield frame._replace(dropped=dropped)
                played += 1
        except TimeoutError:
            log.warning("%s: no sign of life for %g s", self.place, longest)
        finally:
            stopped.set()
            buffer.close()
            camera.join(_PAUSE)  # it ends with its next frame; one that hangs is left behind
            log.info("%s: ended after %d frames, %d dropped", self.place, played, buffer.dropped)
        if not played:
            raise UserError(f"stream.path={self.place}: no frame arrived; expected a camera or URL that sends video")

    def stop(self) -> None:
        """End the frames; called from another thread."""
        self._stopped.set()
        if self._buffer is not None:
            self._buffer.close()

    def _scaled(
        self,
        stopped: threading.Event,
        sizes: FrameSizes,
        rate: float | None,
        teacher_every: int,
        first: int,
        number: int,
    ) -> Iterator[DecodedFrame]:
        """Resize the frames that are wanted at a rate; ``number`` is that of the first source frame."""
        place = first
        for ticks, decoded in self._received(stopped, rate):
            seconds = decoded.seconds if decoded.seconds is not None else self._clock()
            if ticks.begins(seconds):
                yield at_sizes(number, decoded.frame, sizes, place % teacher_every == 0)
                place += 1
            number += 1

    def _received(self, stopped: threading.Event, rate: float | None) -> Iterator[tuple[Ticks, Decoded]]:
        """Yield frames across connections until time is up, or the stream ends."""
        begun: float | None = None
        for attempt in range(self.patience.reconnects + 1):
            # Time stamps begin anew with a connection, and the ticks with them.
            ticks = Ticks(rate)
            try:
                for decoded in self._connection():
                    begun = self._clock() if begun is None else begun
                    late = self.patience.seconds is not None and self._clock() - begun >= self.patience.seconds
                    if late or stopped.is_set():
                        return
                    yield ticks, decoded
            except (av.FFmpegError, OSError, UserError) as error:
                log.warning("%s: lost (%s)", self.place, reason(error, self.patience.timeout))
                if attempt < self.patience.reconnects and stopped.wait(_PAUSE):
                    return
            else:
                return


def _fill(buffer: LatestBuffer[DecodedFrame], frames: Iterator[DecodedFrame]) -> None:
    try:
        for frame in frames:
            buffer.put(frame)
    except BaseException as error:  # handed over to the reader, whatever it is
        buffer.close(error)
    else:
        buffer.close()


class LiveSource:
    """A camera or a live URL, without ground truth, with the keys of ``conf/stream/live.yaml``.

    The URL of a file is played as that file, and nothing is dropped. It plays once: a run over it cannot be done again.
    """

    plays_once = True
    skeleton: Skeleton | None = None
    together = 1

    def __init__(
        self,
        path: Text | int,
        seconds: Positive | None = None,
        buffer_seconds: Positive = 10.0,
        timeout: Positive = TIMEOUT,
        reconnects: Number = 1,
        rate: Positive | None = None,
        kind: str | None = None,
        options: Mapping[str, object] | None = None,
        metric_width: Positive | None = None,
    ) -> None:
        self.metric_width = metric_width
        place, further = str(path), {name: str(value) for name, value in (options or {}).items()}
        require(not Path(place).is_file(), "path", path, "a camera or a URL; a file is played by stream=video")

        address = Address(place, timeout, kind=kind, options=further)
        video = open_live(address)
        if isinstance(video, Clip):
            self.clips = [video]
            return
        speed = rate or video.rate
        require(speed > 0, "rate", rate, "frames/s: the stream does not say how many it has")
        opened = [video.frames]

        def connection() -> Iterator[Decoded]:
            return opened.pop() if opened else decode_live(connect(address))

        patience = Patience(timeout, reconnects, seconds)
        feed = LiveFeed(place, connection, patience, max(1, round(buffer_seconds * speed)))
        self.clips = [Clip(place, Path(place), video.size, speed, 0, 0, live=feed)]
