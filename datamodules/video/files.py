"""Video files, folders of images and URLs of files as a frame source, without ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from av.container import InputContainer
from pydantic import Field

from datamodules.video.clips import Clip, End, Start, fraction_of
from datamodules.video.decoding import TIMEOUT, open_video
from datamodules.video.images import IMAGE_SUFFIXES, common_size, list_images
from datamodules.video.reading import probe
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import UserError, require
from pose_oad.tracking.schema import Positive, Text

# Protocols that fetch files; the others bring what is filmed while it is watched.
_FILE_PROTOCOLS = {"http", "https", "ftp", "file"}


class VideoFileSource:
    """Videos of any format that PyAV opens and folders of images, one after another; see ``conf/stream/video.yaml``."""

    skeleton: Skeleton | None = None
    together = 1

    def __init__(
        self,
        path: Text | int | Annotated[Sequence[str | int], Field(min_length=1)],
        start: Start = 0.0,
        end: End = 1.0,
        metric_width: Positive | None = None,
        rate: Positive = 25.0,
    ) -> None:
        places = [str(path)] if isinstance(path, str | int) else [str(one) for one in path]
        self.metric_width = metric_width
        clips = [_whole_clip(place, rate) for place in places]
        names = Counter(clip.name for clip in clips)
        self.clips = []
        for place, clip in zip(places, clips, strict=True):
            first, stop = fraction_of(clip.stop, start, end)
            name = clip.name if names[clip.name] == 1 else place
            self.clips.append(replace(clip, name=name, start=first, stop=stop))


def _whole_clip(place: str, image_rate: float) -> Clip:
    if "://" in place:
        return open_url(place)
    hint = "; a camera is played by stream=live" if place.isdecimal() else ""
    there = Path(place).is_dir() or Path(place).is_file()
    require(there, "path", place, f"an existing video file or folder of images{hint}")
    return open_path(Path(place), image_rate)


def open_path(path: Path, image_rate: float, key: str = "stream.path", alike: bool = True) -> Clip:
    """Take all of a video file, a folder of images or an image for a clip.

    Args:
        path: an existing file or folder
        image_rate: images/s
        key: config key that named it, for messages
        alike: whether images of more than one size are refused; otherwise the clip has that of the first
    """
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        images = list_images(path, key) if path.is_dir() else [path]
        size, names = common_size(images if alike else images[:1]), tuple(image.name for image in images)
        name, folder = (path.name, path) if path.is_dir() else (path.stem, path.parent)
        return Clip(name, folder, size, image_rate, 0, len(names), names=names)
    size, rate, frames = probe(path)
    return Clip(path.stem, path, size, rate, 0, frames)


def open_url(url: str, timeout: float = TIMEOUT, key: str = "stream.path") -> Clip:
    """Take the URL of a file for a clip; what cannot be played, or has no end, is refused by the key that named it."""
    with open_video(url, timeout, f"{key}={url}") as container:
        if not is_finite(url, container):
            raise UserError(f"{key}={url}: has no end, so it is no file; it is played by stream=live")
    size, rate, frames = probe(url, timeout, f"{key}={url}")
    name = url.rpartition("/")[2].partition("?")[0] or url
    return Clip(name, Path(name), size, rate, 0, frames, url=url)


def is_finite(place: str, container: InputContainer) -> bool:
    """Return True if what has been opened is a file: it says how long it is, and does not come at its own pace."""
    return place.partition("://")[0] in _FILE_PROTOCOLS and bool(container.duration)
