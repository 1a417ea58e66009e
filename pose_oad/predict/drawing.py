"""People drawn into pictures: one panel for each reader, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import Skeleton
from pose_oad.predict.canvas import BLACK, Canvas, even, to_yuv
from pose_oad.predict.poses import FramePoses

#: Colours of joints by the number of a person, and of body sides, which stay apart for colour-blind readers (Okabe and
#: Ito).
PEOPLE = [to_yuv(*rgb) for rgb in ((0, 158, 115), (204, 121, 167), (213, 94, 0), (0, 114, 178), (255, 255, 255))]
SIDES = {"left": to_yuv(230, 159, 0), "right": to_yuv(86, 180, 233), "middle": to_yuv(240, 228, 66)}


class SkeletonSketch:
    """Draws joints from a confidence on, and limbs, of one joint set, in the colour of their side, on a dark rim."""

    def __init__(self, skeleton: Skeleton, threshold: float) -> None:
        self._threshold = threshold
        sides = np.array([_side(joint) for joint in skeleton.joints])
        limbs = np.array(skeleton.limbs, int).reshape(-1, 2)
        # A joint is drawn as a thicker line from itself to itself.
        joints = np.stack([np.arange(len(skeleton))] * 2, 1)
        self._layers = [(lines, _by_side(lines, sides), extra) for lines, extra in ((limbs, 1.0), (joints, 1.7))]

    def draw(self, canvas: Canvas, people: np.ndarray, thickness: int, ids: Sequence[int] = ()) -> None:
        """Draw people, px of the canvas, shape (people, joints, 3), with limbs of an even thickness, px.

        Those who are numbered have joints in a colour of their own, and their numbers beside them.
        """
        confidence = people[..., 2]
        shown: np.ndarray = (confidence >= self._threshold) & (confidence > 0)
        for lines, of_side, factor in self._layers:
            width = 2 * round(thickness * factor / 2)
            visible = shown[:, lines[:, 0]] & shown[:, lines[:, 1]]
            segments = people[:, lines, :2]
            canvas.strokes(segments[visible], BLACK, width + 2)
            if len(ids) and factor > 1:
                for number, of_person, seen in zip(ids, segments, visible, strict=True):
                    canvas.strokes(of_person[seen], PEOPLE[number % len(PEOPLE)], width)
                continue
            for side, chosen in of_side.items():
                canvas.strokes(segments[:, chosen][visible[:, chosen]], SIDES[side], width)
        for number, person, seen in zip(ids, people, shown, strict=False):
            if seen.any():
                corner = person[seen, :2].min(0) - 5 * thickness
                inside = np.clip(corner, 0, np.maximum(np.subtract(canvas.size, 9 * thickness), 0)).astype(int)
                left, top = (inside // 2 * 2).tolist()
                canvas.text(str(number), left, top, 4 * thickness)


class Finder(Protocol):
    """Whose people are drawn: a picture calls it by its name."""

    @property
    def name(self) -> str:  # noqa: D102
        ...

    @property
    def skeleton(self) -> Skeleton:  # noqa: D102
        ...


class Panels:
    """Lays out an overlay, a panel for each reader, and draws its frames.

    A picture is shown as large as it is; one of another size than the first is fitted into the first one's size, px.
    """

    def __init__(self, readers: Sequence[Finder], size: tuple[int, int], threshold: float) -> None:
        self._names = [reader.name for reader in readers]
        self._sketches = [SkeletonSketch(reader.skeleton, threshold) for reader in readers]
        self._picture_size, self._panel = size, even(size)
        self._scaler = VideoReformatter()
        diagonal = float(np.hypot(*size))
        self._thickness = 2 * max(1, round(0.0022 * diagonal))
        self._text = max(9, round(0.028 * size[1]))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the overlay, px, both even."""
        return self._panel[0] * len(self._names), self._panel[1]

    def draw(
        self, picture: VideoFrame, poses: Sequence[FramePoses], captions: Sequence[str], number: int
    ) -> VideoFrame:
        """Draw people, px of the original, with a caption of each reader, perhaps empty, into a frame."""
        canvas, frame = Canvas.new(self.size)
        resize = FrameResize.of((picture.width, picture.height), self._picture_size, "letterbox")
        left, top, width, height = resize.content
        # Colour differences have half the resolution: a picture begins at an even pixel.
        resize = FrameResize(resize.frame_size, resize.input_size, (left - left % 2, top - top % 2, width, height))
        for at, (name, sketch, found, caption) in enumerate(
            zip(self._names, self._sketches, poses, captions, strict=True)
        ):
            panel = canvas.part(at * self._panel[0], self._panel[0])
            panel.paste(picture, resize.content, self._scaler)
            ids = [] if found.ids is None else found.ids.tolist()
            sketch.draw(panel, resize.to_input(found.keypoints).numpy(), self._thickness, ids)
            _, below = panel.text(name, 0, 0, self._text)
            if caption:
                _, below = panel.text(caption, 0, below, self._text)
            if at == 0:
                panel.text(f"frame {number}", 0, below, self._text)
                self._legend(panel)
        return frame

    def _legend(self, panel: Canvas) -> None:
        """Say in the lower left corner which colour is which side of the body."""
        height = self._text
        top, left = self._panel[1] - 2 * height, 0
        for side in ("left", "right"):
            right, _ = panel.text(f"      {side}", left, top, height)
            dot = np.full((1, 2, 2), (left + height, (top + self._panel[1]) / 2))
            panel.strokes(dot, SIDES[side], 2 * round(0.4 * height))
            left = right


def _side(joint: str) -> str:
    return next((side for side in ("left", "right") if joint.startswith(f"{side}_")), "middle")


def _by_side(lines: np.ndarray, sides: np.ndarray) -> dict[str, np.ndarray]:
    """Sort lines, shape (lines, 2 joints), by the side both joints are on; those across are in the middle."""
    starts, ends = sides[lines[:, 0]], sides[lines[:, 1]]
    of_line = np.where(starts == ends, starts, "middle")
    return {side: np.flatnonzero(of_line == side) for side in SIDES}
