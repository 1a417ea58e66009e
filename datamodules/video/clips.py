"""Clips: stretches of video, and what a frame source is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol

import numpy as np
from pydantic import Field

from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import UserError, require

#: Fractions of a sequence to start and to end at.
Start = Annotated[float, Field(ge=0, lt=1)]
End = Annotated[float, Field(gt=0, le=1)]
if TYPE_CHECKING:
    from datamodules.video.live import LiveFeed


@dataclass(frozen=True)
class FrameSizes:
    """At which sizes frames are wanted, (width, height) in px."""

    student: tuple[int, int]  #: size of the picture inside the student's input
    teacher: tuple[int, int] | None = None  #: size at which the teacher wants it; None if it reads no pixels


class DecodedFrame(NamedTuple):
    """One frame."""

    number: int  #: source frame number
    student: np.ndarray  #: RGB uint8, shape (height, width, 3)
    #: likewise, at the teacher's size; None if it reads no pixels or does not want this frame
    teacher: np.ndarray | None
    dropped: int = 0  #: frames before it that nobody was ready for, as of a camera


class PreparedFrames(Protocol):
    """Frames of a clip that were decoded beforehand."""

    def holds(self, sizes: FrameSizes) -> bool:
        """Return True if frames of these sizes are there."""
        ...

    def read(self, clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None) -> Iterator[DecodedFrame]:
        """Read the clip's stretch as :func:`~datamodules.video.reading.decode_frames` would."""
        ...


@dataclass(frozen=True)
class Clip:
    """A stretch of one video, of a folder of images, or what a camera films from now on."""

    name: str  #: how logs and reports call it
    path: Path  #: the video file or the folder; of a stream without one, its name
    frame_size: tuple[int, int]  #: width and height as it is to be seen, px
    rate: float  #: frames per second, the mean where it varies
    start: int  #: first source frame of the stretch
    stop: int  #: source frame after its last
    #: loads the ground truth of all source frames, shape (frames, people, joints, 3), original px; None where there is
    #: none
    truth: Callable[[], np.ndarray] | None = None
    #: what evaluation groups errors by, as ``{"subject": "S1", "action": "Walking", "camera": "55011271"}``
    labels: Mapping[str, str] = field(default_factory=dict)
    #: its frames, decoded beforehand; None where they are decoded as they are asked for
    prepared: PreparedFrames | None = None
    recording: str = ""  #: what several cameras film at the same time; empty: this clip alone
    #: file names of the frames, where every frame is a file of its own in the folder ``path``
    names: tuple[str, ...] = ()
    url: str = ""  #: where to find it, where it is no file
    #: its frames, where they come as they are filmed; it has no end then (``stop`` is 0) and no second time
    live: LiveFeed | None = None

    @property
    def images(self) -> tuple[Path, ...]:
        """Files of the frames, where every frame is a file of its own."""
        return tuple(self.path / name for name in self.names)

    def played_rate(self, rate: float | None) -> float:
        """Return the frames/s it yields at a camera rate (frames/s; None: as filmed): no more than were filmed."""
        return self.rate if rate is None else min(rate, self.rate)

    def sampled_length(self, rate: float | None) -> int:
        """Number of frames the stretch yields at a camera rate (frames/s; None: every frame); a live one has none."""
        if self.live is not None:
            raise UserError(f"stream.path={self.name}: plays once and has no length; expected a file or a folder here")
        if rate is None or rate >= self.rate:
            return self.stop - self.start
        first, last = (tick(frame / self.rate, rate) for frame in (self.start, self.stop - 1))
        return last - first + 1


class FrameSource(Protocol):
    """Where a stream's frames come from."""

    clips: list[Clip]  #: what to play, in order
    skeleton: Skeleton | None  #: joint set of the ground truth; None where there is none
    #: width of the image, px, to which reported distances are scaled; None: the original frame
    metric_width: float | None
    #: cameras that play side by side: so many neighbouring clips film the same moments, frame by frame, and share each
    #: window
    together: int


def is_live(source: FrameSource) -> bool:
    """Return True for a source that plays once, nobody knows for how long."""
    return any(clip.live is not None for clip in source.clips)


def tick(seconds: float, rate: float) -> int:
    """Number the tick of a clock that a moment (s) falls into; ``rate`` in ticks/s."""
    # The small term keeps a time stamp rounded just below a tick in that tick.
    return int(np.floor(seconds * rate + 1e-6))


def fraction_of(frames: int, start: float, end: float) -> tuple[int, int]:
    """Turn start and end fractions of a sequence into frame numbers; refuse an end that is not behind the start."""
    require(start < end, "end", end, f"more than start={start}")
    return int(start * frames), int(end * frames)
