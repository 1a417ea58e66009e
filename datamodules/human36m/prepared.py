"""A prepared folder: its manifest says what is there, its HDF5 files hold it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from datamodules.human36m.cache_file import VERSION
from datamodules.human36m.names import RecordingName, parse_name
from datamodules.human36m.tree import with_confidence
from datamodules.video.clips import Clip, DecodedFrame, FrameSizes
from datamodules.video.frames import size_key, stored_frames
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import replacing
from pose_oad.tracking.hdf5 import reading

log = logging.getLogger(__name__)

MANIFEST = "human36m.json"
_FORMAT = "pose_oad human36m"
_WHAT = "a prepared recording"
_AGAIN = "make data SOURCE=human36m makes it again"


@dataclass(frozen=True)
class PreparedRecording:
    """An entry of the manifest."""

    file: Path  #: the HDF5 file, relative to the folder in the manifest
    name: RecordingName  #: what it shows
    video: Path  #: the original: an mp4 file or a folder of images
    frame_size: tuple[int, int]  #: width and height of the original, px
    rate: float  #: frames/s
    frames: int  #: how many
    sizes: tuple[tuple[int, int], ...] = ()  #: (width, height) of the frames that are kept, px
    first_image: int | None = None  #: number of the first image where the original is a folder of images, else None

    def clip(self) -> tuple[Clip, str]:
        """Open it; see :class:`~datamodules.human36m.recordings.Recording`."""
        names: tuple[str, ...] = ()
        if self.first_image is not None:
            names = tuple(f"img_{self.first_image + number:06d}.jpg" for number in range(self.frames))
        clip = Clip(
            self.name.key, self.video, self.frame_size, self.rate, 0, self.frames, self.truth,
            self.name.labels, self, names=names,
        )  # fmt: skip
        return clip, ""

    def truth(self) -> np.ndarray:
        """Read the 2-D poses as a clip's ground truth, shape (frames, 1 person, 32, 3); float32."""
        with reading(self.file, _WHAT) as file:
            return with_confidence(file["pose/2d"][:])

    def holds(self, sizes: FrameSizes) -> bool:
        """Return True if frames of these sizes are there.

        Raises:
            UserError: if they are not, and cannot be decoded either because the original is gone.
        """
        wanted = [size for size in (sizes.student, sizes.teacher) if size is not None]
        lacking = [size for size in wanted if size not in self.sizes]
        if lacking and not self.video.exists():
            there = ", ".join(map(size_key, self.sizes)) or "none"
            width, height = lacking[0]
            raise UserError(
                f"{self.file}: holds frames of {there}, not of {width}x{height} px, and the original "
                f"{self.video} is not there; prepare it with human36m.frames.size=[{width},{height}]"
            )
        return not lacking

    def read(self, clip: Clip, sizes: FrameSizes, rate: float | None, after: int | None) -> Iterator[DecodedFrame]:
        """Read the clip's stretch; see :func:`~datamodules.video.frames.stored_frames`."""
        with reading(self.file, _WHAT) as file:
            yield from stored_frames(file["frames"], clip, sizes, rate, after)


_ENTRIES = TypeAdapter(list[PreparedRecording])


class PreparedFolder:
    """A prepared folder, as its manifest describes it; a manifest that cannot be read is refused."""

    def __init__(self, root: Path) -> None:
        self._recordings = read_manifest(root)

    @classmethod
    def found_in(cls, folder: Path) -> bool:
        """Return True if a folder was prepared, to the end."""
        return (folder / MANIFEST).is_file()

    def subjects(self) -> list[str]:
        """Subjects of which there is anything."""
        return sorted({recording.name.subject for recording in self._recordings})

    def recordings(self, subject: str) -> list[PreparedRecording]:
        """List the recordings of a subject."""
        return [recording for recording in self._recordings if recording.name.subject == subject]


def write_manifest(root: Path, recordings: Sequence[PreparedRecording]) -> None:
    """Write the manifest of recordings below a root, the last thing that makes a folder complete."""
    relative = [replace(recording, file=recording.file.relative_to(root)) for recording in recordings]
    entries = _ENTRIES.dump_python(sorted(relative, key=lambda recording: recording.name.key), mode="json")
    content = {"format": _FORMAT, "version": VERSION, "recordings": entries}
    with replacing(root / MANIFEST) as partial_file:
        partial_file.write_text(json.dumps(content, indent=1) + "\n")


def read_manifest(root: Path) -> list[PreparedRecording]:
    """Read the manifest of a prepared folder.

    Raises:
        UserError: if it cannot be read, or was written by another version.
    """
    path = root / MANIFEST
    try:
        content = json.loads(path.read_text())
        if (content["format"], content["version"]) != (_FORMAT, VERSION):
            raise ValueError(f"format {content['format']}, version {content['version']}; expected version {VERSION}")
        recordings = _ENTRIES.validate_python(content["recordings"])
        return [replace(recording, file=root / recording.file) for recording in recordings]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: cannot be read as a manifest ({reason}); {_AGAIN}") from error


def read_entry(path: Path) -> PreparedRecording:
    """Describe a prepared file from its own attributes.

    Raises:
        UserError: if it is damaged or not complete.
    """
    with reading(path, _WHAT) as file:
        facts = dict(file.attrs)
        if not facts.get("complete") or facts["version"] != VERSION:
            raise UserError(f"{path}: not complete, or of another version; {_AGAIN}")
        name = parse_name(str(facts["subject"]), f"{facts['title']}.{facts['camera']}")
        if name is None:
            raise UserError(f"{path}: says it shows {facts['title']}; {_AGAIN}")
        width, height = facts["frame_size"].tolist()
        sizes = tuple(dataset.shape[2:0:-1] for dataset in file.get("frames", {}).values() if dataset.ndim == 4)
        first = int(file["frame"][0]) if facts["images"] else None
        frames, rate = len(file["frame"]), float(facts["rate"])
        return PreparedRecording(path, name, Path(facts["video"]), (width, height), rate, frames, sizes, first)


def made_from(path: Path) -> Any:
    """Return what a prepared file was made from; None where there is no whole file."""
    if not path.is_file():
        return None
    try:
        with reading(path, _WHAT) as file:
            return json.loads(file.attrs["made_from"]) if file.attrs.get("complete") else None
    except UserError as error:
        log.warning("%s", error)
        return None
