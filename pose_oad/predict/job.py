"""What is done with a batch: find people, compare them, draw and write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame

from pose_oad.predict.batches import Batch
from pose_oad.predict.drawing import Panels
from pose_oad.predict.keypoint_files import Write
from pose_oad.predict.poses import FramePoses, PoseReader, mean_distance


class ReadBatch(NamedTuple):
    """A batch with its people.

    Attributes:
        batch: the frames
        poses: people of each frame, by reader
        distances: px of the reported image, shape (readers, frames); NaN where nothing is compared
    """

    batch: Batch
    poses: list[list[FramePoses]]
    distances: np.ndarray


class PredictionJob:
    """Work on batches, and count what has been done.

    Args:
        readers: who says where people are, the student first
        reference: place of the reader that errors are measured to; None where there is none
        metric_width: width of the image in whose px errors are given; None: the frame's own
        overlay: what encodes a frame, and how it is drawn; None draws none
        writer: what writes the student's keypoints; None writes none

    Attributes:
        frames: frames written so far
    """

    def __init__(
        self,
        readers: Sequence[PoseReader],
        reference: int | None,
        metric_width: float | None,
        overlay: tuple[Callable[[VideoFrame, int], None], Panels] | None,
        writer: Write | None,
    ) -> None:
        self._readers, self._reference = readers, reference
        self._metric_width, self._overlay, self._writer = metric_width, overlay, writer
        self.frames = 0
        self._sums, self._counts = np.zeros(len(readers)), np.zeros(len(readers), int)

    def work(self, batch: Batch) -> ReadBatch:
        """Find the people of a batch, and compare them with the reference."""
        poses = [
            reader.read(images, batch.sizes, batch.first)
            for reader, images in zip(self._readers, batch.inputs, strict=True)
        ]
        distances = np.full((len(self._readers), len(batch.sizes)), np.nan)
        for place in self._compared():
            distances[place] = [self._distance(poses, place, row, size) for row, size in enumerate(batch.sizes)]
        return ReadBatch(batch, poses, distances)

    def write(self, read: ReadBatch) -> None:
        """Draw and write a batch."""
        for row in range(len(read.batch.sizes)):
            number = read.batch.first + row
            found = [poses[row] for poses in read.poses]
            if self._writer is not None:
                self._writer(number, found[0])
            if self._overlay is not None:
                encode, panels = self._overlay
                captions = [self._caption(place, value) for place, value in enumerate(read.distances[:, row])]
                encode(panels.draw(read.batch.pictures[row], found, captions, number), number)
        measured = np.isfinite(read.distances)
        self._sums += np.where(measured, read.distances, 0).sum(1)
        self._counts += measured.sum(1)
        self.frames += len(read.batch.sizes)

    def errors(self) -> dict[str, float]:
        """Return the mean over the frames so far of each reader's distance to the reference, px; NaN for none."""
        return {
            self._readers[place].name: float(self._sums[place] / self._counts[place])
            if self._counts[place]
            else math.nan
            for place in self._compared()
        }

    def _compared(self) -> list[int]:
        """Places of the readers that are measured: all before the reference."""
        return [] if self._reference is None else list(range(self._reference))

    def _distance(self, poses: list[list[FramePoses]], place: int, row: int, size: tuple[int, int]) -> float:
        reader, reference = self._readers[place], self._readers[self._reference or 0]
        found, wanted = poses[place][row], poses[self._reference or 0][row]
        scale = self._metric_width / size[0] if self._metric_width else 1.0
        return scale * mean_distance(found, wanted, reader.skeleton, reference.skeleton)

    def _caption(self, place: int, distance: float) -> str:
        if self._reference is None or place >= self._reference:
            return ""
        to = self._readers[self._reference].name.partition(" ")[0]
        return f"{distance:.1f} px from {to}" if math.isfinite(distance) else f"nobody to compare with {to}"
