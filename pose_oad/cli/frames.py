"""Write labelled frames of a run, with the teacher's labels, to be corrected by a person in a tool of one's choice."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from omegaconf import DictConfig

from callbacks.ledger import read_ledger
from datamodules.stream import WindowLoader
from datamodules.video.clips import FrameSource
from datamodules.video.reading import read_frames
from pose_oad.cli.assembly import OnlineRun, plays_once, prepare
from pose_oad.cli.command import check_keys
from pose_oad.cli.resuming import find_run
from pose_oad.cli.run_config import read_config
from pose_oad.export.annotation import IMAGES, Format, LabelledFrame, write_labels
from pose_oad.teachers.corrected import frame_name
from pose_oad.tracking.errors import check
from pose_oad.tracking.files import Staging, writing
from pose_oad.tracking.schema import Count, Text

_QUALITY = 95  # of JPEG


def main(cfg: DictConfig) -> Path:
    """Write the frames that ``conf/frames.yaml`` with overrides asks for.

    Returns:
        The folder.

    Raises:
        UserError: if there is no such run, it labelled nothing, its stream is gone, or the folder cannot be written.
    """
    check_keys(cfg, {
        "run": Text | int, "folder": Text, "count": Count, "format": Format, "output": Text, "overwrite": bool,
        "image_root": str,
    })  # fmt: skip
    folder = find_run("run", str(cfg.run), Path(cfg.folder))
    own = read_config(folder / "config.yaml", "online")
    check(not plays_once(own.stream), "run", cfg.run, "a run over videos: what a camera has shown is gone")
    chosen = [frame for row in read_ledger(folder / "ledger.jsonl") for frame in row["selected_frames"]]
    check(bool(chosen), "run", cfg.run, "a run in which frames were labelled")
    wanted = np.array(chosen)[np.linspace(0, len(chosen) - 1, min(cfg.count, len(chosen))).round().astype(int)]
    run, target = prepare(own), Path(cfg.output)
    frames = list(_label(run, wanted))
    with Staging(cfg.overwrite) as staging:
        place = staging.place("output", target, folder=True)
        with writing(target, "output"):
            (place / IMAGES).mkdir(parents=True)
            _write_images(run.data.loader.source, frames, place / IMAGES)
            labels = run.module.loop.labels.teacher
            write_labels(place, cfg.format, frames, labels.skeleton, labels.name, str(cfg.image_root))
    sys.stdout.write(f"{len(frames)} frames, labelled by {labels.name}: {target}\n")
    return target


def _label(run: OnlineRun, wanted: np.ndarray) -> Iterator[LabelledFrame]:
    """Play the stream again, without learning, and have some of its frames labelled as in the run."""
    loader = run.data.loader
    for window in WindowLoader(loader.source, loader.options):
        positions = np.flatnonzero(np.isin(window.ids, wanted))
        if len(positions):
            labels = run.module.loop.labels.label(window, positions)
            for row, position in enumerate(positions):
                segment = next(each for each in window.segments if each.start <= position < each.stop)
                assert segment.origin is not None
                clip, number = segment.clip, int(segment.origin.numbers[position - segment.start])
                about = {"clip": clip, "number": number, "frame": int(window.ids[position])}
                yield LabelledFrame(
                    frame_name(clip, number), segment.resize.frame_size, labels.keypoints[row], about
                )  # fmt: skip
        if window.ids[-1] >= wanted[-1]:
            return


def _write_images(source: FrameSource, frames: list[LabelledFrame], folder: Path) -> None:
    """Write the frames as they were filmed."""
    for clip in source.clips:
        names = {frame.about["number"]: frame.name for frame in frames if frame.about["clip"] == clip.name}
        if names:
            for number, picture in read_frames(replace(clip, stop=min(clip.stop, max(names) + 1))):
                if number in names:
                    image = cv2.cvtColor(picture.to_ndarray(format="rgb24"), cv2.COLOR_RGB2BGR)
                    cv2.imwrite(str(folder / f"{names[number]}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
