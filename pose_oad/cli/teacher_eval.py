"""Measure a teacher on a COCO set or on a stream: what a student that learns from it can hope for.

Its people are measured as it labels them, at its own resolution. Nothing is trained.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pose_oad.cli.command import build
from pose_oad.cli.evaluate import check_measured, tracked
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.progress import watched

if TYPE_CHECKING:
    from datamodules.video.clips import FrameSource
    from pose_oad.metrics.keypoints import MissingRule
    from pose_oad.teachers.base import Teacher


def main(cfg: DictConfig) -> dict[str, float]:
    """Measure a teacher from a configuration, and show, write and track the figures.

    Args:
        cfg: ``conf/teacher_eval.yaml`` with overrides

    Returns:
        Figures by name: on a stream those of :meth:`~pose_oad.online.breakdown.Breakdown.values`, on a COCO set
        pycocotools' average precisions and recalls; on both ``frames`` and ``seconds_per_frame`` of the teacher itself.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been written or tracked then.
    """
    from rich.console import Console

    from pose_oad.cli.assembly import make_teacher, take_threads
    from pose_oad.predict.comparison import comparison_table, without_nan
    from pose_oad.tracking.files import Staging
    from pose_oad.tracking.store import quiet_libraries

    quiet_libraries()
    _check_values(cfg)
    cfg.threads = take_threads(cfg.threads)
    file = Path(cfg.output.file) if cfg.output.file else None
    with Staging(cfg.overwrite) as staging:
        if file is not None:
            staging.refuse("output.file", file)
        source: FrameSource | None = build(cfg.stream) if cfg.on == "stream" else None
        teacher = make_teacher(cfg.teacher, source.skeleton if source else None, cfg.label_cache)
        figures = measure_stream(cfg, source, teacher) if source else measure_coco(cfg, teacher)
        if file is not None:
            described = {"teacher": teacher.name, "skeleton": teacher.skeleton.name, "on": cfg.on}
            described["figures"] = without_nan(figures)
            staging.place("output.file", file).write_text(json.dumps(described, indent=1) + "\n")
        with tracked(cfg, "teacher_eval", {teacher.name: (f"{cfg.on}-{teacher.name}", {})}) as track:
            track({teacher.name: figures})
    shown = {name: value for name, value in figures.items() if name not in ("frames", "seconds_per_frame")}
    title = f"{figures['frames']:,} frames of {_where(cfg)}, {figures['seconds_per_frame']:.3f} s each"
    Console().print(comparison_table({teacher.name: shown}, title))
    return figures


def measure_stream(cfg: DictConfig, source: FrameSource, teacher: Teacher) -> dict[str, float]:
    """Measure the best person of each frame, or everybody, against the ground truth of videos.

    Args:
        cfg: the configuration
        source: the videos
        teacher: who labels

    Raises:
        UserError: if the videos have no ground truth, no joint in common with the teacher, or cannot be read.
    """
    from datamodules.stream import WindowLoader
    from datamodules.windowing import StreamOptions
    from pose_oad.online.breakdown import Breakdown, truth_holds_several
    from pose_oad.online.label_service import LabelService
    from pose_oad.poses.maps import People
    from pose_oad.poses.skeleton import joint_map

    if source.skeleton is None:
        raise UserError("stream: its videos have no ground truth; expected some that have, as stream=human36m")
    joint_map(source.skeleton, teacher.skeleton)  # refuses sets without a common joint
    options = StreamOptions(
        cfg.window.frames, _UNSEEN, "squash", cfg.window.camera_rate, teacher.image_size, cfg.teacher.every,
        cfg.window.decoder_threads,
    )  # fmt: skip
    loader, labelling = WindowLoader(source, options), LabelService(teacher)
    errors, seconds = Breakdown(teacher.skeleton, _rule(cfg)), 0.0
    several = cfg.metric.people == "many"
    for window in watched(loader, len(loader), "teacher"):
        started = time.perf_counter()
        labels = labelling.label(window, window.candidates)
        seconds += time.perf_counter() - started
        several = several or (cfg.metric.people == "auto" and truth_holds_several(window))
        found = labels.people(teacher.skeleton)
        everybody = People(found, found[..., 2].mean(-1)) if several else None
        errors.update_window(window, window.candidates, labels.person(teacher.skeleton), everybody)
    return errors.values() | {"frames": errors.frames, "seconds_per_frame": seconds / max(1, errors.frames)}


def measure_coco(cfg: DictConfig, teacher: Teacher) -> dict[str, float]:
    """Measure everybody who is found in annotated images.

    Args:
        cfg: the configuration
        teacher: who labels

    Raises:
        UserError: if the set cannot be used, or the teacher needs a ground truth.
    """
    import numpy as np

    from datamodules.coco.index import CocoIndex
    from datamodules.coco.tree import CocoTree
    from datamodules.video.images import decode_image
    from pose_oad.metrics.coco_ap import average_precision, to_results
    from pose_oad.teachers.base import Origin, TeacherRequest

    options, tree = cfg.coco, CocoTree(Path(cfg.coco.root), cfg.coco.image_folder)
    check(tree.root.is_dir(), "coco.root", tree.root, "the folder of a COCO tree")
    check(not teacher.uses_truth, "teacher", teacher.name, "a teacher that looks at pictures, with on=coco")
    folder = tree.images(options.split)
    index = CocoIndex(
        tree.annotations(options.split), folder, teacher.skeleton, category=options.category,
        skip_missing=options.missing_images == "skip",
    )  # fmt: skip
    images = index.images[: options.images]
    results, seconds = [], 0.0
    for number, image in enumerate(watched(images, len(images), "teacher")):
        frame = decode_image(image.path)
        size = (frame.width, frame.height)
        wanted = teacher.image_size(size)
        pixels = None
        if wanted is not None:
            pixels = frame.to_ndarray(format="rgb24", width=wanted[0], height=wanted[1], interpolation="AREA")[None]
        name = os.path.relpath(image.path, folder)
        origin = Origin(index.annotations.stem, folder, np.array([number]), (name,))
        started = time.perf_counter()
        people = teacher.label(TeacherRequest(np.array([number]), pixels, size, None, origin)).keypoints[0]
        seconds += time.perf_counter() - started
        # A person of whom more is seen ranks before one of whom less is.
        results += to_results(people, people[..., 2].mean(-1), teacher.skeleton, image.id, index.category_id)
    precision = average_precision(index.ground_truth, results, teacher.skeleton, [image.id for image in images])
    return precision | {"frames": len(images), "seconds_per_frame": seconds / max(1, len(images))}


# The student's picture of a frame, which nobody looks at here, px.
_UNSEEN = (8, 8)


def _check_values(cfg: DictConfig) -> None:
    from pose_oad.metrics.people import check_people

    check_measured(cfg, "teacher.every")
    file = cfg.output.file
    check(file is None or (isinstance(file, str) and bool(file)), "output.file", file, "a JSON file to write, or null")
    check(
        cfg.coco.missing_images in ("refuse", "skip"), "coco.missing_images", cfg.coco.missing_images, "refuse or skip"
    )
    _rule(cfg)
    check_people(cfg.metric.people)


def _rule(cfg: DictConfig) -> MissingRule:
    from pose_oad.metrics.keypoints import MissingRule

    check(cfg.metric.undetected_joints != "argmax", "metric.undetected_joints", "argmax", "drop, penalty or zero")
    return MissingRule(cfg.metric.undetected_joints, cfg.metric.threshold, cfg.metric.penalty).validate()


def _where(cfg: DictConfig) -> str:
    return f"{cfg.coco.root}, {cfg.coco.split}" if cfg.on == "coco" else "a stream"
