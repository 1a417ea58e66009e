"""A video frame that can be drawn on as it is: no way to RGB and back, and pixels beside the drawing stay untouched."""

from __future__ import annotations

from collections.abc import Sequence

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

Colour = tuple[int, int, int]

_SHIFT = 4  # fractional bits of coordinates: a sixteenth of a px
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 22  # px of a capital at font scale 1


def to_yuv(red: int, green: int, blue: int) -> Colour:
    """Convert a colour, 0 to 255 each, to the limited range of ITU-R BT.601, that of most videos.

    Returns:
        Luma (16 to 235) and the two colour differences (16 to 240).
    """
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    y, u, v = (matrix @ np.array([red, green, blue]) / 255 + (16, 128, 128)).round().astype(int).tolist()
    return y, u, v


BLACK, WHITE = to_yuv(0, 0, 0), to_yuv(255, 255, 255)


def even(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size (width and height, px) of a picture padded to even sides, as yuv420p video needs them."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


class Canvas:
    """A yuv420p frame, or a rectangle of one.

    Args:
        planes: luma, shape (height, width), and the two colour differences, half as wide and high; uint8, drawn on
    """

    def __init__(self, planes: Sequence[np.ndarray]) -> None:
        self._planes = planes

    @classmethod
    def new(cls, size: tuple[int, int]) -> tuple[Canvas, VideoFrame]:
        """Make a black frame of even sides, px; return what is drawn on, and the frame that it shows up in."""
        frame = av.VideoFrame(*size, "yuv420p")
        canvas = cls([_pixels(plane) for plane in frame.planes])
        for plane, value in zip(canvas._planes, BLACK, strict=True):
            plane[...] = value
        return canvas, frame

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        height, width = self._planes[0].shape
        return width, height

    def part(self, left: int, width: int) -> Canvas:
        """Return an upright strip, left end and width in px, even: what is drawn on it stays inside."""
        return Canvas(
            [plane[:, left // s : (left + width) // s] for plane, s in zip(self._planes, (1, 2, 2), strict=True)]
        )

    def paste(self, frame: VideoFrame, content: tuple[int, int, int, int], scaler: VideoReformatter) -> None:
        """Show a frame of any size and format at a place: left, top, width and height, px; left and top even.

        Where a picture has an odd side, its last column or row is repeated. A scaler is best kept.
        """
        left, top, width, height = content
        picture = scaler.reformat(
            frame, width, height, "yuv420p", interpolation="AREA", dst_color_range="MPEG", threads=1
        )
        for target, plane, s in zip(self._planes, picture.planes, (1, 2, 2), strict=True):
            source = _pixels(plane)
            rows, columns = source.shape
            place = target[top // s :, left // s :]
            place[:rows, :columns] = source
            if s == 1:  # the colour differences cover the odd column and row already
                place[:rows, columns : columns + width % 2] = source[:, -1:]
                place[rows : rows + height % 2, : columns + width % 2] = place[rows - 1, : columns + width % 2]

    def strokes(self, segments: np.ndarray, colour: Colour, thickness: int) -> None:
        """Draw lines, continuous px, shape (lines, 2 ends, 2), with round ends: one of no length is a dot."""
        if not len(segments):
            return
        for plane, value, s in zip(self._planes, colour, (1, 2, 2), strict=True):
            # OpenCV's (0, 0) is the first pixel's centre.
            points = np.round((segments / s - 0.5) * 2**_SHIFT).astype(np.int32)
            # A thinner smooth line would be paler than its colour.
            cv2.polylines(plane, list(points), False, (value,), max(2, thickness // s), cv2.LINE_AA, _SHIFT)

    def text(self, text: str, left: int, top: int, height: int) -> tuple[int, int]:
        """Write white text on a black box, its capitals so high, px, or less where the line would not fit the width.

        Returns:
            Where the box ends on the right and below, px.
        """
        scale, weight = height / _FONT_HEIGHT, max(1, round(height / 9))
        (width, _), below = cv2.getTextSize(text, _FONT, scale, weight)
        room = self.size[0] - 2 * left - height
        if width > room:
            scale *= max(room, 1) / width
            (width, _), below = cv2.getTextSize(text, _FONT, scale, weight)
        margin = max(2, height // 3)
        bottom = top + height + below + margin
        for plane, value, s in zip(self._planes, BLACK, (1, 2, 2), strict=True):
            plane[top // s : -(-bottom // s), left // s : -(-(left + width + 2 * margin) // s)] = value
        origin = (left + margin, top + height + margin // 2 + 1)
        cv2.putText(self._planes[0], text, origin, _FONT, scale, (WHITE[0],), weight, cv2.LINE_AA)
        return left + width + 2 * margin, bottom


def _pixels(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """See a plane's pixels, shape (height, width), uint8, without what pads its lines."""
    # PyAV's planes are buffers, which their type does not say.
    lines = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)  # type: ignore[call-overload]
    return lines[:, : plane.width]
