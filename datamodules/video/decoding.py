"""Decoding: the frames of a video as they are to be seen, each with its number, past whatever is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pose_oad.poses.geometry import LARGEST_IMAGE
from pose_oad.tracking.errors import UserError

TIMEOUT = 10.0  # s that a server may be silent while a file of its is read

#: Options of FFmpeg: larger pictures are not decoded.
LIMITS = {"max_pixels": str(LARGEST_IMAGE)}

# Formats that FFmpeg draws pictures of: text, by the name of its file.
_NO_FOOTAGE = {"tty"}

# So many errors in a row while packets are looked for, and the rest of a file counts as unreadable.
_UNREADABLE = 1000


class Decoded(NamedTuple):
    """A frame of a video."""

    number: int  #: its place in the video, from 0; frames that are lost keep theirs
    #: when it is to be seen, from the start of the video, s; None where the container does not say
    seconds: float | None
    frame: VideoFrame  #: the picture, upright


def open_video(
    place: str | Path,
    timeout: float = TIMEOUT,
    name: str = "",
    kind: str | None = None,
    options: Mapping[str, str] | None = None,
) -> InputContainer:
    """Open something with a video stream; refuse what is not there, does not answer in time, or holds no video.

    Args:
        place: a file, or anything that FFmpeg opens by a name: a URL, a device
        timeout: how long it may be silent, s, while it is opened and, each time, while it is read; not for files
        name: what messages call it; empty: as it is
        kind: FFmpeg's name of the format; None finds out
        options: further options of FFmpeg's protocols and formats, by name
    """
    file, name = isinstance(place, Path), name or str(place)
    if isinstance(place, Path) and not place.is_file():
        raise UserError(f"{place}: no such file; expected a video")
    try:
        # A file is opened here, and nothing else for it: a playlist can name any file of this machine.
        container: InputContainer = av.open(  # type: ignore[assignment]  # of what is read
            place.open("rb") if isinstance(place, Path) else place,
            format=kind,
            options={**LIMITS, **({"protocol_whitelist": "none"} if file else {}), **(options or {})},
            timeout=None if file else timeout,
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        wanted = "read as a video" if file else "opened as a camera or a URL"
        raise UserError(f"{name}: cannot be {wanted} ({reason(error, timeout)})") from error
    if not container.streams.video or container.format.name in _NO_FOOTAGE:
        container.close()
        raise UserError(f"{name}: holds no video stream")
    return container


def reason(error: Exception, timeout: float = TIMEOUT) -> str:
    """Return in a few words why FFmpeg failed, which was to wait for so many s."""
    if isinstance(error, av.ExitError):  # what FFmpeg calls a time-out
        return f"silent for {timeout:g} s"
    return str(getattr(error, "strerror", None) or error)


class FrameDecoder:
    """Decode the first video stream of a container packet by packet, so that a damaged one is not the end.

    Frames keep their numbers when others are lost. A decoder returns frames in the order of their time stamps, so that
    every packet with an earlier one than the frame at hand, and no frame of its own, is a frame lost.

    Args:
        container: what to read
        threads: decoder threads

    Attributes:
        packets: packets of frames to be shown so far
        damaged: frames lost so far
        number: number of the last frame that could be decoded; -1 before the first
        error: why a packet could last not be decoded; None: all could
    """

    def __init__(self, container: InputContainer, threads: int = 1) -> None:
        self.container = container
        self.stream: VideoStream = container.streams.video[0]
        self.stream.thread_type, self.stream.codec_context.thread_count = "AUTO", threads
        self.stream.codec_context.options = LIMITS
        self.packets, self.damaged, self.number = 0, 0, -1
        self.error: str | None = None
        # AVI numbers packets in the order in which they are stored, which is not that of time.
        self._timed = container.format.name != "avi"
        self._start, self._unit = self.stream.start_time, float(self.stream.time_base or 0)
        self._waiting: list[int] = []  # a heap of the time stamps that have gone in and not come out
        self._upright = Upright()

    def __iter__(self) -> Iterator[Decoded]:
        for packet in self._packets():
            if is_shown(packet):
                self.packets += 1
                if self._timed and packet.pts is not None:
                    heappush(self._waiting, packet.pts)
            for frame in self._decode(packet):
                self._count(frame)
                if frame.is_corrupt:
                    self.damaged += 1
                    continue
                yield Decoded(self.number, self._seconds(frame), self._upright(frame))
        self.damaged += len(self._waiting)

    def _packets(self) -> Iterator[Packet]:
        errors = 0
        while errors < _UNREADABLE:
            try:
                for packet in self.container.demux(self.stream):
                    errors = 0
                    yield packet
                return
            except av.InvalidDataError as error:  # the next packet may be found again
                errors, self.error = errors + 1, reason(error)

    def _decode(self, packet: Packet) -> list[VideoFrame]:
        try:
            return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
        except av.FFmpegError as error:
            self.error = reason(error)
            if not self._timed or packet.pts is None:
                self.damaged, self.number = self.damaged + 1, self.number + 1
            return []

    def _count(self, frame: VideoFrame) -> None:
        lost = 0
        while frame.pts is not None and self._waiting and self._waiting[0] <= frame.pts:
            if heappop(self._waiting) == frame.pts:
                break
            lost += 1
        self.damaged += lost
        self.number += lost + 1

    def _seconds(self, frame: VideoFrame) -> float | None:
        if not self._timed or frame.pts is None:
            return None
        if self._start is None:
            self._start = frame.pts
        # A stamp is rounded to the container's clock, in some to a millisecond: it may be half a unit early.
        return (frame.pts - self._start + 0.5) * self._unit


def is_shown(packet: Packet) -> bool:
    """Return True for a packet of a frame that is to be seen: not the end's mark, not hidden by an edit list."""
    return packet.size > 0 and not packet.is_discard


class Upright:
    """Turn and mirror frames as their display matrix says, as of a phone held on its side; others pass as they are."""

    def __init__(self) -> None:
        self._kind: tuple[object, ...] = ()
        self._graph: Graph | None = None

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return a frame as it is to be seen."""
        # A frame whose side data was asked for is part of a reference cycle: the decoder gets its memory back late, and
        # takes new memory for every frame. So only the first is asked, and those that are turned otherwise.
        kind = (frame.width, frame.height, frame.format.name, frame.rotation)
        if kind != self._kind:
            matrix = frame.side_data.get("DISPLAYMATRIX")
            entries = [] if matrix is None else np.frombuffer(memoryview(matrix), np.int32).tolist()  # type: ignore[arg-type]
            self._kind, self._graph = kind, _turning(frame, _turns(entries)) if entries else None
        if self._graph is None:
            return frame
        self._graph.vpush(frame)
        return self._graph.vpull()


def _turns(matrix: list[int]) -> list[tuple[str, str]]:
    """Name the FFmpeg filters, with their arguments, that do what a display matrix says, to the nearest quarter turn.

    Its nine entries stand row by row: a frame's (x, y) is shown at (a x + c y, b x + d y), where the first five are
    a, b, 0, c, d.
    """
    a, b, _, c, d = matrix[:5]
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if swapped else (a, d)
    turns = [("transpose", "cclock_flip")] if swapped else []  # FFmpeg's name of the plain transposition
    return turns + [(name, "") for name, sign in (("hflip", across), ("vflip", down)) if sign < 0]


def _turning(frame: VideoFrame, turns: list[tuple[str, str]]) -> Graph | None:
    if not turns:
        return None
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )  # fmt: skip
    filters = [graph.add(name, arguments) for name, arguments in turns]
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    return graph
