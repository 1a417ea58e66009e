"""Measure a teacher on a COCO set or on a stream: what a student that learns from it can hope for.

Its people are measured as it labels them, at its own resolution. Nothing is trained.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Literal

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from datamodules.coco.index import CocoIndex
from datamodules.coco.tree import CocoTree
from datamodules.stream import WindowLoader
from datamodules.video.clips import FrameSource
from datamodules.video.images import decode_image
from datamodules.windowing import StreamOptions
from pose_oad.cli.assembly import take_threads
from pose_oad.cli.command import check_keys
from pose_oad.cli.evaluate import check_measured, open_with_truth, tracked
from pose_oad.cli.teachers import make_teacher
from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.breakdown import Breakdown, truth_holds_several
from pose_oad.online.label_service import LabelService
from pose_oad.poses.maps import People
from pose_oad.poses.skeleton import joint_map
from pose_oad.predict.comparison import comparison_table, without_nan
from pose_oad.teachers.base import Origin, Teacher, TeacherRequest
from pose_oad.tracking.errors import check
from pose_oad.tracking.files import Staging
from pose_oad.tracking.progress import watched
from pose_oad.tracking.schema import Count
from pose_oad.tracking.store import quiet_libraries


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
    quiet_libraries()
    rule = _rule(cfg)
    cfg.threads = take_threads(cfg.threads)
    file = Path(cfg.output.file) if cfg.output.file else None
    with Staging(cfg.overwrite) as staging:
        if file is not None:
            staging.refuse("output.file", file)
        source, truth = open_with_truth(cfg) if cfg.on == "stream" else (None, None)
        teacher = make_teacher(cfg.teacher, truth, cfg.label_cache)
        if truth is not None:
            joint_map(truth, teacher.skeleton)  # refuses sets without a common joint
        figures = measure_stream(cfg, source, teacher, rule) if source else measure_coco(cfg, teacher)
        if file is not None:
            described = {"teacher": teacher.name, "skeleton": teacher.skeleton.name, "on": cfg.on, "figures": figures}
            staging.place("output.file", file).write_text(json.dumps(without_nan(described), indent=1) + "\n")
        with tracked(cfg, "teacher_eval", {teacher.name: (f"{cfg.on}-{teacher.name}", {})}) as track:
            track({teacher.name: figures})
    shown = {name: value for name, value in figures.items() if name not in ("frames", "seconds_per_frame")}
    where = f"{cfg.coco.root}, {cfg.coco.split}" if cfg.on == "coco" else "a stream"
    title = f"{figures['frames']:,} frames of {where}, {figures['seconds_per_frame']:.3f} s each"
    Console().print(comparison_table({teacher.name: shown}, title))
    return figures


def measure_stream(cfg: DictConfig, source: FrameSource, teacher: Teacher, rule: MissingRule) -> dict[str, float]:
    """Measure the best person of each frame, or everybody, against the ground truth of videos."""
    options = StreamOptions(  # at a small size: nobody looks at the student's picture of a frame here
        cfg.window.frames, (8, 8), "squash", cfg.window.camera_rate, teacher.image_size, cfg.teacher.every,
        cfg.window.decoder_threads,
    )  # fmt: skip
    loader, labelling = WindowLoader(source, options), LabelService(teacher)
    errors, seconds = Breakdown(teacher.skeleton, rule), 0.0
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
    """Measure everybody who is found in annotated images; a teacher that needs a ground truth is refused."""
    options, tree = cfg.coco, CocoTree(Path(str(cfg.coco.root)), cfg.coco.image_folder)
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


def _rule(cfg: DictConfig) -> MissingRule:
    """Return what becomes of joints that are not found; refuse values that nobody else checks."""
    check_measured(cfg)
    check_keys(cfg, {"teacher.every": Count, "metric.undetected_joints": Literal["drop", "penalty", "zero"]})
    return MissingRule(cfg.metric.undetected_joints, cfg.metric.threshold, cfg.metric.penalty).validate()
