"""Connections to cameras and URLs that send what is filmed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import av
from av.container import InputContainer

from datamodules.video.clips import Clip
from datamodules.video.decoding import TIMEOUT, Decoded, FrameDecoder, open_video, reason
from datamodules.video.files import is_finite, open_url
from pose_oad.tracking.errors import UserError

log = logging.getLogger(__name__)

# Over TCP no packet of a frame is lost, and none has to be waited for.
_RTSP = {"rtsp_transport": "tcp"}


@dataclass(frozen=True)
class Address:
    """What sends frames, and how it is opened."""

    place: str  #: number of a camera (video4linux), its device, or anything that FFmpeg opens by a name
    timeout: float = TIMEOUT  #: how long it may be silent, s
    key: str = "stream.path"  #: config key that named it, for messages
    kind: str | None = None  #: FFmpeg's name of the format; None finds out
    options: Mapping[str, str] = field(default_factory=dict)  #: further options of FFmpeg, by name

    def __str__(self) -> str:
        return f"{self.key}={self.place}"


def is_connection(place: str) -> bool:
    """Return whether a place is a camera's number or a URL, rather than a path."""
    return place.isdecimal() or "://" in place


def connect(address: Address) -> InputContainer:
    """Open a camera or a URL for frames as they are filmed; one that does not answer or sends no video is refused."""
    place, kind = address.place, address.kind
    device = f"/dev/video{place}" if place.isdecimal() else place
    if device.startswith("/dev/video"):
        kind = kind or "video4linux2"
    usual = _RTSP if device.startswith("rtsp") else {}
    return open_video(device, address.timeout, str(address), kind, usual | dict(address.options))


class LiveVideo(NamedTuple):
    """Frames as they are filmed."""

    size: tuple[int, int]  #: width and height, px
    rate: float  #: frames/s; 0 where it does not say
    frames: Iterator[Decoded]  #: the frames, from the first that arrived


def open_live(address: Address) -> LiveVideo | Clip:
    """Open a camera or a URL, and wait for its first frame; return a clip where it is the URL of a file."""
    container = connect(address)
    if is_finite(address.place, container):
        container.close()
        return open_url(address.place, address.timeout, address.key)
    stream = container.streams.video[0]
    frames = decode_live(container)
    try:
        first = next(frames)
    except (av.FFmpegError, StopIteration) as error:
        cause = "it ended" if isinstance(error, StopIteration) else reason(error, address.timeout)
        raise UserError(f"{address}: opened, but no frame arrived ({cause})") from error
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return LiveVideo((first.frame.width, first.frame.height), rate, chain([first], frames))


def decode_live(container: InputContainer) -> Iterator[Decoded]:
    """Decode what :func:`connect` has opened, and close it in the end; frames that change their size are refused."""
    decoder, size = FrameDecoder(container), None
    try:
        for decoded in decoder:
            now = (decoded.frame.width, decoded.frame.height)
            size = size or now
            if now != size:
                raise UserError(f"frames changed from {size[0]}x{size[1]} to {now[0]}x{now[1]} px")
            yield decoded
    finally:
        if decoder.damaged:
            log.warning("%s: %d damaged frames skipped", container.name, decoder.damaged)
        container.close()
