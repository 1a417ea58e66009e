"""Folders of images, as the frames of a video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from datamodules.video.decoding import LIMITS, Decoded, reason
from pose_oad.poses.geometry import LARGEST_IMAGE
from pose_oad.tracking.errors import UserError, check

#: Suffixes of the images in a folder.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def list_images(folder: Path, key: str = "source") -> list[Path]:
    """List the images of a folder in natural order, ``img_2`` before ``img_10``; messages name its config key."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    check(bool(paths), key, folder, f"a folder with images in it ({', '.join(IMAGE_SUFFIXES)})")
    for path in paths:
        check(path.is_file(), key, path, "a file, for its name is an image's")  # a pipe would be waited for
    return sorted(paths, key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    parts = re.split(r"(\d+)", path.name.lower())
    # Numbers before words; the name itself decides between img_1 and img_01.
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part], path.name


@contextmanager
def _opened(path: Path, use: str) -> Iterator[InputContainer]:
    """Open an image; what goes wrong in the block says that it cannot be read for a use."""
    try:
        # An open file, not its name: FFmpeg takes a percent sign in a name for a pattern.
        with path.open("rb") as file, av.open(file, "r", options=LIMITS) as container:
            container.streams.video[0].codec_context.options = LIMITS
            yield container
    except (av.FFmpegError, OSError, StopIteration, IndexError) as error:
        cause = reason(error) if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be {use} as an image ({cause})") from error


def decode_image(path: Path) -> VideoFrame:
    """Decode an image file, as stored: an orientation that a camera noted beside the pixels is not applied."""
    with _opened(path, "decoded") as container:
        return next(container.decode(video=0))


def image_size(path: Path) -> tuple[int, int]:
    """Read width and height (px) of an image from its header."""
    with _opened(path, "read") as container:
        context = container.streams.video[0].codec_context
        size = (context.width, context.height)
    if min(size) < 1:
        raise UserError(f"{path}: cannot be read as an image of 1 to {LARGEST_IMAGE} px")
    return size


def common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """Return the width and height (px) that images share; refuse others: a stream's frames are all of one size."""
    first = image_size(paths[0])
    for path in paths[1:]:
        size = image_size(path)
        if size != first:
            expected = f"{first[0]}x{first[1]} px as {paths[0].name} beside it"
            raise UserError(f"{path}: {size[0]}x{size[1]} px, expected {expected}")
    return first


def read_images(folder: Path, names: Sequence[str], rate: float, first: int = 0) -> Iterator[Decoded]:
    """Decode a folder's images, given by their names in order, from a number on, at a rate of so many images/s."""
    for number in range(first, len(names)):
        yield Decoded(number, number / rate, decode_image(folder / names[number]))
