"""An overlay as an H.264 video."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.video.frame import VideoFrame

from pose_oad.tracking.files import writing

_OPTIONS = {"preset": "veryfast"}


class OverlayVideo:
    """Encode frames one after another; a context that finishes the file.

    Args:
        path: the file that is written
        target: what error messages call it
        size: width and height, px, even
        rate: frames/s
        crf: x264's constant rate factor

    Raises:
        UserError: if the file cannot be written.
    """

    def __init__(self, path: Path, target: Path, size: tuple[int, int], rate: Fraction, crf: int) -> None:
        self._target = target
        with writing(target, "output.video"):
            # The index goes to the front, so that a browser can begin to play before it has everything.
            # In a relative path what stands before a colon would be taken for a protocol.
            self._container = av.open(
                str(path.absolute()), "w", format="mp4", container_options={"movflags": "+faststart"}
            )
            self._stream = self._container.add_stream("libx264", rate=rate, options={**_OPTIONS, "crf": str(crf)})
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.thread_count = 1  # decoder and network have the other cores
        self._stream.codec_context.color_range = 1  # limited, as the canvas draws
        self._rate, self._next = rate, 0
        self._first: int | None = None

    def write(self, frame: VideoFrame, number: int | None = None) -> None:
        """Encode the next frame.

        Args:
            frame: the frame
            number: its number in the source, where some may be missing: the frame before is seen longer then; None: it
                follows the one before

        Raises:
            UserError: if it cannot be written, as on a full disk.
        """
        number = self._next if number is None else number
        self._first = number if self._first is None else self._first
        self._next = number + 1
        frame.pts, frame.time_base = number - self._first, 1 / self._rate
        with writing(self._target, "output.video"):
            self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> OverlayVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # the file is removed: what else goes wrong with it does not matter
            with contextlib.suppress(OSError, av.FFmpegError):
                self._container.close()
            return
        with writing(self._target, "output.video"):
            self._container.mux(self._stream.encode())
            self._container.close()
