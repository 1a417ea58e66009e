"""What is done with a batch: find people, compare them, draw and write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.video.frame import VideoFrame
from omegaconf import DictConfig

from pose_oad.predict.batches import Batch
from pose_oad.predict.drawing import Panels
from pose_oad.predict.keypoint_files import KEY, Write, choose_format, make_writer, write_image_list
from pose_oad.predict.overlay import overlay_video
from pose_oad.predict.poses import FramePoses, PoseReader, distances
from pose_oad.tracking.errors import check
from pose_oad.tracking.files import Staging, guarded

if TYPE_CHECKING:
    from datamodules.video.clips import Clip

_PEOPLE = 5  # whose errors are said one by one

#: A batch, people of each frame by reader, and distances, px, shape (readers, frames); NaN: nothing is compared.
ReadBatch = tuple[Batch, list[list[FramePoses]], np.ndarray]


@dataclass(frozen=True)
class Outputs:
    """What is to be written: the overlay, keypoints in the format ``kind`` (empty where there are none), or both."""

    video: Path | None
    keypoints: Path | None
    kind: str = ""

    @classmethod
    def of(cls, cfg: DictConfig, staging: Staging) -> Outputs:
        """Read what is to be written where, and refuse what cannot be, or what is in the way."""
        video, keypoints = (Path(str(name)) if name else None for name in (cfg.output.video, cfg.output.keypoints))
        check(bool(video or keypoints), "output.video", cfg.output.video, "an .mp4, or output.keypoints to be given")
        kind = choose_format(keypoints, cfg.output.format) if keypoints else ""
        if video is not None:
            check(video.suffix.lower() == ".mp4", "output.video", video, "a name that ends in .mp4")
        for key, path in (("output.video", video), (KEY, keypoints)):
            if path is not None:
                staging.refuse(key, path, folder=key == KEY and kind == "openpose")
                same = path.resolve() == Path(str(cfg.source)).resolve()
                check(not same, key, path, "another place than the source's")
        return cls(video, keypoints, kind)


class PredictionJob:
    """Work on batches, and count the frames that are done.

    Args:
        cfg: ``conf/predict.yaml`` with overrides
        readers: who says where people are, the student first
        measured: whether errors are measured to the last of the readers
    """

    def __init__(self, cfg: DictConfig, readers: Sequence[PoseReader], measured: bool) -> None:
        self._cfg, self._readers, self._compared = cfg, readers, readers[:-1] if measured else []
        self.frames = 0
        self._sums, self._counts = np.zeros(len(readers)), np.zeros(len(readers), int)
        self._of_people: dict[tuple[str, int], list[float]] = {}  # by reader and the reference's number of the person
        self._overlay: tuple[Callable[[VideoFrame, int], None], Panels] | None = None
        self._writer: Write | None = None

    def open(self, outputs: Outputs, clip: Clip, staging: Staging, stack: ExitStack) -> None:
        """Open the outputs of a clip at their temporary places; the stack finishes them, or gives them up."""
        output = self._cfg.output
        if outputs.video is not None:
            panels = Panels(self._readers, clip.frame_size, self._cfg.threshold)
            place = staging.place("output.video", outputs.video)
            rate = Fraction(clip.rate).limit_denominator(1001)  # as 30000/1001
            video = overlay_video(place, panels.size, rate, output.crf)
            self._overlay = stack.enter_context(guarded(video, outputs.video, "output.video")), panels
        if outputs.keypoints is not None:
            target, kind, stem = outputs.keypoints, outputs.kind, Path(str(self._cfg.source)).stem
            place = staging.place(KEY, target, folder=kind == "openpose")
            skeleton = self._readers[0].skeleton
            opened = make_writer(kind, place, target, skeleton, clip.images, output.openpose, stem)
            self._writer = stack.enter_context(guarded(opened, target, KEY))
            if kind == "coco" and clip.images:
                write_image_list(staging.place(KEY, target.with_suffix(".images.json")), clip.images)

    def work(self, batch: Batch) -> ReadBatch:
        """Find the people of a batch, and compare them with the reference's."""
        pairs = zip(self._readers, batch.inputs, strict=True)
        poses = [reader.read(images, batch.sizes, batch.first) for reader, images in pairs]
        means = np.full((len(self._readers), len(batch.sizes)), np.nan)
        reference, width = self._readers[-1].skeleton, self._cfg.metric_width
        for place, reader in enumerate(self._compared):
            for row, (found, wanted) in enumerate(zip(poses[place], poses[-1], strict=True)):
                if found.held or wanted.held:
                    continue
                scale = width / batch.sizes[row][0] if width else 1.0
                of_people = scale * distances(found, wanted, reader.skeleton, reference)
                means[place, row] = of_people.nanmean()
                for number, distance in zip([] if wanted.ids is None else wanted.ids.tolist(), of_people, strict=False):
                    if distance.isfinite():
                        self._of_people.setdefault((reader.name, number), []).append(float(distance))
        return batch, poses, means

    def write(self, read: ReadBatch) -> None:
        """Draw and write a batch."""
        batch, poses, means = read
        for row in range(len(batch.sizes)):
            number, found = batch.first + row, [of_reader[row] for of_reader in poses]
            if self._writer is not None:
                self._writer(number, found[0])
            if self._overlay is not None:
                encode, panels = self._overlay
                held = found[-1].held
                captions = ["" if held else self._caption(at, value) for at, value in enumerate(means[:, row])]
                encode(panels.draw(batch.pictures[row], found, captions, number), number)
        self._sums += np.nansum(means, axis=1)
        self._counts += np.isfinite(means).sum(1)
        self.frames += len(batch.sizes)

    def errors(self) -> dict[str, float]:
        """Return each reader's mean distance to the reference over the frames so far, px; NaN for none.

        Where the reference holds several people, that to each of those who were seen most is ``<reader>/person <n>``.
        """
        errors = dict[str, float]()
        for reader, total, count in zip(self._compared, self._sums.tolist(), self._counts.tolist(), strict=False):
            errors[reader.name] = total / count if count else math.nan
            people = {number: of for (name, number), of in self._of_people.items() if name == reader.name}
            most = sorted(people, key=lambda number: -len(people[number]))[:_PEOPLE]
            if len(people) > 1:
                errors |= {f"{reader.name}/person {n}": sum(people[n]) / len(people[n]) for n in sorted(most)}
        return errors

    def _caption(self, place: int, distance: float) -> str:
        if place >= len(self._compared):
            return ""
        to = self._readers[-1].name.partition(" ")[0]
        return f"{distance:.1f} px from {to}" if math.isfinite(distance) else f"nobody to compare with {to}"
