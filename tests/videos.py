"""Small videos with peculiarities, written by tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.media import counting_frames


def write_counting(
    path: Path,
    count: int = 24,
    size: int = 32,
    rate: int = 25,
    stamps_ms: Sequence[int] | None = None,
    b_frames: int = 0,
    keyframes: int = 1,
    kind: str | None = None,
) -> Path:
    """Write a video whose frame number k has the grey level of ``level`` k.

    Args:
        path: the file
        count: frames
        size: width and height, px
        rate: frames/s
        stamps_ms: time stamps of the frames, ms; None: by the rate
        b_frames: largest number of frames in a row that are stored behind one that is shown after them
        keyframes: one frame in so many is a key frame
        kind: FFmpeg's name of the format; None: by the suffix
    """
    options = {"crf": "1", "g": str(keyframes), "sc_threshold": "0", "bf": str(b_frames), "b-pyramid": "none"}
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.max_b_frames = b_frames
        if stamps_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(counting_frames(count, size)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stamps_ms is not None:
                frame.pts, frame.time_base = stamps_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def level(frame: av.VideoFrame) -> int:
    """Tell the number of a counting frame by its grey level."""
    return round(frame.to_ndarray(format="rgb24").mean() / 4)


def damage(path: Path, shown: Sequence[int]) -> None:
    """Overwrite what is stored of some frames, given by their place in the order in which they are shown."""
    with av.open(str(path)) as container:
        packets = [(packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.size]
    packets.sort()
    data = bytearray(path.read_bytes())
    for number in shown:
        _, stored = packets[number]
        begin = data.index(stored)
        data[begin : begin + len(stored)] = bytes(len(stored))
    path.write_bytes(bytes(data))


def lose_second_half(path: Path) -> None:
    """Overwrite everything behind the first frames of an mp4, whose index still promises all."""
    data = bytearray(path.read_bytes())
    begin, end = data.index(b"mdat"), data.index(b"moov")
    middle = (begin + end) // 2
    data[middle:end] = bytes(end - middle)
    path.write_bytes(bytes(data))


def corners() -> np.ndarray:
    """Return a picture, (32, 48, 3), uint8: its corners are red, green, blue and white, clockwise from the top left."""
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :24, 0] = image[:16, 24:, 1] = image[16:, 24:, 2] = 250
    image[16:, :24] = 250
    return image
