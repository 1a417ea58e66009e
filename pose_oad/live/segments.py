"""Files that are begun anew now and then, of which the oldest make room when they take too much of the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from pose_oad.predict.overlay import overlay_video

_LOG = logging.getLogger(__name__)


class Segments:
    """Name the file that is written now, and remove the oldest of a folder when all are larger than a cap.

    Args:
        folder: where they lie, with all other files that the cap holds for
        prefix: of their names
        suffix: of their names
        seconds: how long each is written, s
        cap_bytes: of the whole folder
        clock: time, s since 1970
    """

    def __init__(
        self, folder: Path, prefix: str, suffix: str, seconds: float, cap_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.folder, self.prefix, self.suffix = folder, prefix, suffix
        self.seconds, self.cap_bytes, self._clock = seconds, cap_bytes, clock
        self._until, self.path = 0.0, folder
        folder.mkdir(parents=True, exist_ok=True)

    def due(self) -> bool:
        """Return True when a file has to be begun; :attr:`path` names it then."""
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + self.seconds
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        self.path = self.folder / f"{self.prefix}-{stamp}{self.suffix}"
        self.make_room()
        return True

    def make_room(self) -> None:
        """Remove the oldest files, but never the one that is written, until the folder is below its cap."""
        files = sorted(
            (path for path in self.folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime
        )
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if total <= self.cap_bytes:
                return
            if path != self.path:
                total -= path.stat().st_size
                path.unlink()
                _LOG.info("%s: removed, for the disk's sake", path)


class OverlayFiles:
    """An overlay video in segments.

    Args:
        segments: where the files are
        size: width and height of the pictures, px, even
        rate: frames/s
        crf: how much is lost, 0 to 51
    """

    def __init__(self, segments: Segments, size: tuple[int, int], rate: float, crf: int = 28) -> None:
        self.segments, self.size, self.rate, self.crf = segments, size, rate, crf
        self._open = ExitStack()
        self._encode: Callable[[VideoFrame, int], None] | None = None

    def write(self, frame: VideoFrame, number: int) -> None:
        """Write a picture, given with its number at the camera."""
        if self.segments.due():
            self.close()
            rate = Fraction(self.rate).limit_denominator(1000)
            video: AbstractContextManager[Callable[[VideoFrame, int], None]] = overlay_video(
                self.segments.path, self.size, rate, self.crf
            )
            self._encode = self._open.enter_context(video)
        if self._encode is not None:
            self._encode(frame, number)

    def close(self) -> None:
        """Finish the file that is written."""
        self._open.close()
        self._encode = None
