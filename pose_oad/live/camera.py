"""The newest frame of a camera, a URL, or a file that plays at its own rate."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
from av.video.frame import VideoFrame

from datamodules.video.buffer import LatestBuffer
from datamodules.video.clips import Clip
from datamodules.video.connections import Address, connect, decode_live, is_connection, open_live
from datamodules.video.decoding import TIMEOUT, Decoded, reason
from datamodules.video.files import open_path
from datamodules.video.reading import Ticks, read_frames
from pose_oad.tracking.errors import UserError, require
from pose_oad.tracking.schema import Positive, Text

_LOG = logging.getLogger(__name__)
_PAUSE = 1.0  # s before a lost camera is tried again


@dataclass(frozen=True)
class CameraOptions:
    """What is watched, with the keys of ``camera`` in ``conf/live.yaml``."""

    path: Text | int
    loop: bool = False
    seconds: Positive | None = None
    rate: Positive | None = None
    image_rate: Positive = 25.0
    timeout: Positive = TIMEOUT
    kind: str | None = None
    options: Mapping[str, str | int | float] | None = None


class Moment(NamedTuple):
    """A frame of the camera.

    Attributes:
        number: its place since the service began, frames that nobody took counted in
        frame: the picture
        taken_s: when it was there, by the machine's monotonic clock, s
    """

    number: int
    frame: VideoFrame
    taken_s: float


class Camera(threading.Thread):
    """Hold the newest frame; what is not taken before the next one comes is skipped, and counted.

    A camera that falls silent or breaks off is opened anew until it is back. A file ends, unless it is looped.

    Args:
        options: what is watched

    Attributes:
        source: what it is called
        size: width and height of its frames, px
        rate: frames/s
        state: how it is, in words
        lost: how often it has been lost

    Raises:
        UserError: if it cannot be opened or does not say its rate.
    """

    def __init__(self, options: CameraOptions) -> None:
        place = str(options.path)
        super().__init__(name="camera", daemon=True)
        given = {name: str(value) for name, value in (options.options or {}).items()}
        self._address = Address(place, options.timeout, "camera.path", options.kind, given)
        live = is_connection(place)
        require(live or Path(place).exists(), "path", place, "a file, a folder of images, a camera's number or a URL")
        opened = open_live(self._address) if live else open_path(Path(place), options.image_rate, "camera.path")
        self.options, self.source = options, place
        self._clip = opened if isinstance(opened, Clip) else None
        self._first = [] if isinstance(opened, Clip) else [opened.frames]
        require(self._clip is not None or not options.loop, "loop", True, "false: only a file can be played again")
        self.size = opened.frame_size if isinstance(opened, Clip) else opened.size
        speed = opened.rate
        require(speed > 0 or options.rate is not None, "rate", options.rate, "frames/s: the camera does not say")
        self.rate = min(options.rate or speed, speed or float("inf"))
        self.state, self.lost, self._number = "opened", 0, 0
        self._ended = threading.Event()
        self._slot = LatestBuffer[Moment](1)

    @property
    def skipped(self) -> int:
        """Frames that nobody took before the next one came."""
        return self._slot.dropped

    def newest(self, patience: float) -> Moment | None:
        """Return the newest frame, for which it is waited so many s; None when the source has ended.

        Raises:
            TimeoutError: if none has come.
        """
        taken = self._slot.take(patience)
        return None if taken is None else taken[0]

    @property
    def live(self) -> bool:
        """Whether it waits for nobody and has no end."""
        return self._clip is None

    def close(self) -> None:
        """Let go of a camera that has not been started."""
        self._first.clear()

    def stop(self) -> None:
        """End it; called from another thread."""
        self._ended.set()
        self._slot.close()

    def run(self) -> None:
        """Fill the slot until the source ends, or is stopped."""
        begun = time.monotonic()
        while not self._ended.is_set():
            cause = "the sender ended it"
            try:
                for frame in self._frames():
                    now = time.monotonic()
                    over = self.options.seconds is not None and now - begun >= self.options.seconds
                    if over or self._ended.is_set():
                        self._ended.set()
                        break
                    if (frame.width, frame.height) != self.size:
                        raise UserError(f"frames are now of {frame.width}x{frame.height} px")
                    self.state = "playing"
                    self._slot.put(Moment(self._number, frame, now))
                    self._number += 1
                if self._clip is not None:
                    if not self.options.loop:
                        break
                    continue
            except (av.FFmpegError, OSError, UserError) as error:
                cause = reason(error, self.options.timeout)
            if not self._ended.is_set():
                self.lost += 1
                self.state = f"lost ({cause})"
                _LOG.warning("%s: %s; it is tried again", self.source, self.state)
                self._ended.wait(_PAUSE)
        self.state = "ended"
        self._slot.close()

    def _frames(self) -> Iterator[VideoFrame]:
        if self._clip is not None:
            return self._paced(self._clip)
        connection = self._first.pop() if self._first else decode_live(connect(self._address))
        ticks = Ticks(self.options.rate)
        return (decoded.frame for decoded in connection if ticks.begins(_seconds(decoded)))

    def _paced(self, clip: Clip) -> Iterator[VideoFrame]:
        """Yield the frames of a file when their time has come."""
        begun = time.monotonic()
        for place, (_, frame) in enumerate(read_frames(clip, self.options.rate)):
            if self._ended.wait(max(0.0, begun + place / self.rate - time.monotonic())):
                return
            yield frame


def _seconds(decoded: Decoded) -> float:
    return time.monotonic() if decoded.seconds is None else decoded.seconds
