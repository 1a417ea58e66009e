"""An overlay as an H.264 video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame

_OPTIONS = {"preset": "veryfast"}


@contextmanager
def overlay_video(
    path: Path, size: tuple[int, int], rate: Fraction, crf: int
) -> Iterator[Callable[[VideoFrame, int], None]]:
    """Encode frames, whose sides are even, one after another; the file is finished at the end of the block.

    Yields:
        What encodes the next frame, given with its number in the source: where some are missing, the frame before is
        seen longer.

    Raises:
        OSError, av.FFmpegError: if the file cannot be written.
    """
    # The index goes to the front, so that a browser can begin to play before it has everything.
    # In a relative path what stands before a colon would be taken for a protocol.
    container = av.open(str(path.absolute()), "w", format="mp4", container_options={"movflags": "+faststart"})
    stream = container.add_stream("libx264", rate=rate, options={**_OPTIONS, "crf": str(crf)})
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1  # decoder and network have the other cores
    stream.codec_context.color_range = 1  # limited, as the canvas draws
    first: int | None = None

    def encode(frame: VideoFrame, number: int) -> None:
        nonlocal first
        first = number if first is None else first
        frame.pts, frame.time_base = number - first, 1 / rate
        container.mux(stream.encode(frame))

    try:
        yield encode
    except BaseException:  # the file is removed: what else goes wrong with it does not matter
        with suppress(OSError, av.FFmpegError):
            container.close()
        raise
    container.mux(stream.encode())
    container.close()
