"""What a prediction found, as a value: people with their boxes, drawn or handed to other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from av.video.frame import VideoFrame

from pose_oad.poses.skeleton import Skeleton
from pose_oad.predict.poses import FramePoses
from pose_oad.tracking.errors import UserError, check

if TYPE_CHECKING:
    from PIL.Image import Image
    from supervision import KeyPoints


@dataclass(frozen=True, eq=False)
class Poses:
    """The people found in an image, or in the frames of a video.

    Attributes:
        frames: what was found in each frame, by its number; an image is frame 0
        skeleton: their joints
        name: who found them, as pictures say
        picture: returns a frame by its number, to be drawn on
    """

    frames: dict[int, FramePoses] = field(repr=False)
    skeleton: Skeleton = field(repr=False)
    name: str
    picture: Callable[[int], VideoFrame] = field(repr=False)

    def __len__(self) -> int:
        """Return the number of people, over all frames."""
        return len(self.scores)

    def __iter__(self) -> Iterator[Poses]:
        """Walk through the frames."""
        return (self.of(number) for number in self.frames)

    def __repr__(self) -> str:
        return f"Poses({len(self)} people in {len(self.frames)} frames, {self.skeleton.name})"

    def of(self, frame: int) -> Poses:
        """Return the people of one frame; refuse a number that no frame has."""
        accepted = f"a frame from {min(self.frames, default=0)} to {max(self.frames, default=0)}"
        check(frame in self.frames, "frame", frame, accepted)
        return replace(self, frames={frame: self.frames[frame]})

    @property
    def keypoints(self) -> np.ndarray:
        """Joints: x and y, continuous px of the frame, and confidence (0: not found), shape (people, joints, 3)."""
        return self._joined([poses.keypoints for poses in self.frames.values()], (len(self.skeleton), 3))

    @property
    def scores(self) -> np.ndarray:
        """How sure the student is of each person, shape (people,)."""
        return self._joined([poses.scores for poses in self.frames.values()], ())

    @property
    def ids(self) -> np.ndarray:
        """Number of each person, the same from frame to frame, shape (people,); -1 for one who was not followed."""
        listed = self.frames.values()
        parts = [torch.full_like(p.scores, -1) if p.ids is None else p.ids for p in listed]
        return self._joined(parts, ()).astype(int)

    @property
    def numbers(self) -> np.ndarray:
        """Number of the frame that each person is in, shape (people,)."""
        return np.repeat(np.array(list(self.frames), int), [len(poses.scores) for poses in self.frames.values()])

    def boxes(self, threshold: float = 0.1) -> np.ndarray:
        """Return the boxes around people's joints of a confidence or more.

        Returns:
            left, top, right and bottom, px, shape (people, 4); all zero for somebody without such a joint.
        """
        keypoints = self.keypoints
        shown = (keypoints[..., 2:] >= threshold) & (keypoints[..., 2:] > 0)
        low = np.where(shown, keypoints[..., :2], np.inf).min(1)
        high = np.where(shown, keypoints[..., :2], -np.inf).max(1)
        return np.where(np.isfinite(low[:, :1]), np.concatenate([low, high], 1), 0).astype(np.float32)

    def plot(self, frame: int | None = None, threshold: float = 0.1) -> Image:
        """Draw the people of a frame into its picture, joints and limbs from a confidence on.

        Args:
            frame: its number; None: the first. Of a video, it is decoded again
            threshold: confidence from which a joint is drawn
        """
        from PIL.Image import fromarray

        from pose_oad.predict.drawing import Panels

        if frame is None:
            frame = next(iter(self.frames), 0)
        found, picture = self.of(frame).frames[frame], self.picture(frame)
        panels = Panels([self], (picture.width, picture.height), threshold)
        drawn = panels.draw(picture, [found], [""], frame).to_ndarray(format="rgb24")
        return fromarray(drawn[: picture.height, : picture.width])

    def to_coco(self) -> list[dict[str, Any]]:
        """Return COCO results: an entry a person with 17 joints; ``image_id`` is the frame's number."""
        from pose_oad.predict.keypoint_files import coco_results

        found = self.frames.items()
        return [entry for number, poses in found for entry in coco_results(poses, self.skeleton, number)]

    def to_supervision(self) -> KeyPoints:
        """Return the people as supervision's ``KeyPoints``; ``data["frame"]`` holds the number of each one's frame.

        Raises:
            UserError: if supervision is not installed.
        """
        try:
            from supervision import KeyPoints
        except ImportError as error:
            raise UserError(
                f"to_supervision: {error}; expected it to be installed, as by pip install 'pose_oad[supervision]'"
            ) from error
        keypoints = self.keypoints
        return KeyPoints(
            xy=keypoints[..., :2], keypoint_confidence=keypoints[..., 2], detection_confidence=self.scores,
            visible=keypoints[..., 2] > 0, class_id=np.zeros(len(self), int),
            data={"frame": self.numbers, "tracker_id": self.ids},
        )  # fmt: skip

    def _joined(self, parts: list[torch.Tensor], shape: tuple[int, ...]) -> np.ndarray:
        return torch.cat([torch.zeros(0, *shape), *parts]).numpy().astype(np.float32)
