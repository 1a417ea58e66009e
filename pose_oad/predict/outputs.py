"""Which outputs a prediction has, and how they are opened."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pose_oad.predict.drawing import Panels
from pose_oad.predict.job import PredictionJob
from pose_oad.predict.keypoint_files import KEY, choose_format, make_writer, write_image_list
from pose_oad.predict.overlay import overlay_video
from pose_oad.predict.poses import PoseReader
from pose_oad.tracking.errors import check

if TYPE_CHECKING:
    from datamodules.video.clips import Clip
from pose_oad.tracking.files import Staging, guarded


@dataclass(frozen=True)
class Outputs:
    """What is to be written.

    Attributes:
        video: the overlay; None writes none
        keypoints: the file or folder of keypoints; None writes none
        kind: its format, ``coco``, ``openpose``, ``csv`` or ``parquet``; empty where there is none
    """

    video: Path | None
    keypoints: Path | None
    kind: str = ""


def choose_outputs(cfg: DictConfig, staging: Staging) -> Outputs:
    """Read what is to be written where, and refuse what cannot be.

    Raises:
        UserError: if nothing is to be written, a name or format is unknown, or something is in the way.
    """
    video, keypoints = (Path(str(name)) if name else None for name in (cfg.output.video, cfg.output.keypoints))
    check(bool(video or keypoints), "output.video", cfg.output.video, "an .mp4, or output.keypoints to be given")
    kind = ""
    if video is not None:
        crf = cfg.output.crf
        check(video.suffix.lower() == ".mp4", "output.video", video, "a name that ends in .mp4")
        check(crf in range(52), "output.crf", crf, "0 to 51")
        staging.refuse("output.video", video)
    if keypoints is not None:
        kind = choose_format(keypoints, cfg.output.format)
        staging.refuse(KEY, keypoints, folder=kind == "openpose")
    for key, path in (("output.video", video), (KEY, keypoints)):
        same = path is not None and path.resolve() == Path(str(cfg.source)).resolve()
        check(not same, key, path, "another place than the source's")
    return Outputs(video, keypoints, kind)


def open_job(
    cfg: DictConfig,
    staging: Staging,
    outputs: Outputs,
    clip: Clip,
    readers: list[PoseReader],
    reference: int | None,
    stack: ExitStack,
) -> PredictionJob:
    """Open the outputs.

    Args:
        cfg: ``conf/predict.yaml`` with overrides
        staging: where they are until they are done
        outputs: what is written
        clip: what is predicted
        readers: who says where people are, the student first
        reference: place of the reader that errors are measured to; None where there is none
        stack: finishes them, or gives them up, when it unwinds

    Raises:
        UserError: if one of them cannot be written.
    """
    overlay = writer = None
    if outputs.video is not None:
        panels = Panels(readers, clip.frame_size, cfg.threshold)
        place = staging.place("output.video", outputs.video)
        rate = Fraction(clip.rate).limit_denominator(1001)  # as 30000/1001
        video = overlay_video(place, panels.size, rate, cfg.output.crf)
        overlay = (stack.enter_context(guarded(video, outputs.video, "output.video")), panels)
    if outputs.keypoints is not None:
        place = staging.place(KEY, outputs.keypoints, folder=outputs.kind == "openpose")
        skeleton, stem = readers[0].skeleton, Path(str(cfg.source)).stem
        kind, target, joints = outputs.kind, outputs.keypoints, cfg.output.openpose
        opened = make_writer(kind, place, target, skeleton, clip.images, joints, stem)
        writer = stack.enter_context(guarded(opened, target, KEY))
        if kind == "coco" and clip.images:
            write_image_list(staging.place(KEY, target.with_suffix(".images.json")), clip.images)
    return PredictionJob(readers, reference, cfg.metric_width, overlay, writer)
