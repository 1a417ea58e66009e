"""Measure one or several students on a COCO set or on a stream, and compare them in one table.

A student is a checkpoint or an exported network. Nothing is trained; every frame is decoded once for all students of
one input size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from pose_oad.cli.command import build
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.progress import watched

if TYPE_CHECKING:
    from lightning.pytorch.loggers import MLFlowLogger

    from datamodules.video.clips import FrameSource
    from pose_oad.poses.geometry import ResizeMode
    from pose_oad.students.keypoints import PoseNetwork

Figures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Plan:
    """A measurement that is ready to start.

    Attributes:
        title: what is measured on, in a line
        facts: the same in plain values
        measure: does it; returns the figures by checkpoint and name
    """

    title: str
    facts: dict[str, Any]
    measure: Callable[[], Figures]


def main(cfg: DictConfig) -> Figures:
    """Measure checkpoints from a configuration, and show, write and track the figures.

    Args:
        cfg: ``conf/evaluate.yaml`` with overrides

    Returns:
        Figures by checkpoint and name: on a stream those of :meth:`~pose_oad.online.breakdown.Breakdown.values`, on
        a COCO set pycocotools' average precisions and recalls, and ``mpjpe_px`` of people who are alone.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been written or tracked then.
    """
    from rich.console import Console

    from pose_oad.cli.assembly import take_threads
    from pose_oad.predict.comparison import comparison_table, write_comparison
    from pose_oad.predict.networks import load_predictor
    from pose_oad.tracking.files import Staging
    from pose_oad.tracking.store import quiet_libraries

    quiet_libraries()
    paths = check_values(cfg)
    cfg.threads = take_threads(cfg.threads)
    file = Path(str(cfg.output.file)) if cfg.output.file else None
    with Staging(cfg.overwrite) as staging:
        if file is not None:
            staging.refuse("output.file", file)
        predictors = {path: load_predictor(path, cfg.device, cfg.threads) for path in paths}
        plan = plan_stream(cfg, predictors) if cfg.on == "stream" else plan_coco(cfg, predictors)
        place = staging.place("output.file", file) if file is not None else None
        described = {path: _describe(path, network) for path, network in predictors.items()}
        runs = {
            path: (f"{cfg.on}-{Path(path).stem}", {"checkpoint.sha256": described[path]["sha256"]}) for path in paths
        }
        with tracked(cfg, "evaluate", runs) as track:
            measured = plan.measure()
            figures = {path: measured[path] for path in paths}
            if place is not None:
                write_comparison(place, plan.facts, list(described.values()), figures)
            track(figures)
    several = any("people/AP" in values for values in figures.values())
    Console().print(comparison_table(figures, plan.title + ", several people, matched by OKS" * several))
    return figures


def check_values(cfg: DictConfig) -> list[str]:
    """Refuse values that nobody else checks.

    Returns:
        The checkpoints.

    Raises:
        UserError: naming the key.
    """
    given = cfg.checkpoints
    paths = [str(path) for path in given] if OmegaConf.is_list(given) else [str(given)] if given else []
    check(bool(paths), "checkpoints", given, "one or several files, as [a.ckpt,b.onnx]")
    check(len(set(paths)) == len(paths), "checkpoints", given, "each file once")
    check_measured(cfg, "metric.batch_size")
    return paths


def check_measured(cfg: DictConfig, *counts: str) -> None:
    """Refuse values of what is measured on that nobody else checks.

    Args:
        cfg: the configuration
        counts: keys of further whole numbers

    Raises:
        UserError: naming the key.
    """
    check(cfg.on in ("stream", "coco"), "on", cfg.on, "stream or coco")
    for key in (*counts, "window.frames", *(["coco.images"] if cfg.coco.images is not None else [])):
        value = OmegaConf.select(cfg, key)
        check(isinstance(value, int) and not isinstance(value, bool) and value >= 1, key, value, "1 or more")


def plan_stream(cfg: DictConfig, predictors: Mapping[str, PoseNetwork]) -> Plan:
    """Open the videos of a stream, whose errors are measured frame by frame.

    Raises:
        UserError: if a value or a video cannot be used, or there is no ground truth.
    """
    from datamodules.stream import WindowLoader
    from datamodules.video.frames import FrameCache
    from datamodules.windowing import StreamOptions
    from pose_oad.metrics.keypoints import MissingRule
    from pose_oad.metrics.people import check_people
    from pose_oad.online.breakdown import measure
    from pose_oad.poses.skeleton import joint_map
    from pose_oad.predict.networks import laid_alike

    rule = MissingRule(cfg.metric.undetected_joints, cfg.metric.threshold, cfg.metric.penalty).validate()
    check_people(cfg.metric.people)
    window = cfg.window
    source: FrameSource = build(cfg.stream)
    truth = source.skeleton
    if truth is None:
        raise UserError("stream: its videos have no ground truth; expected some that have, as stream=human36m")
    groups = laid_alike(predictors, "window.resize_mode", window.resize_mode, "input_size")
    for predictor in predictors.values():
        joint_map(truth, predictor.skeleton)  # refuses sets without a common joint
    cache = FrameCache(Path(str(window.cache))) if window.cache else None

    def windows(size: tuple[int, int], resize_mode: ResizeMode) -> WindowLoader:
        options = StreamOptions(
            window.frames, size, resize_mode, window.camera_rate, decoder_threads=window.decoder_threads, cache=cache
        )
        return WindowLoader(source, options)

    def run() -> Figures:
        figures: Figures = {}
        for resize_mode, group in groups:
            loader = windows(next(iter(group.values())).input_size, resize_mode)
            videos = watched(loader, len(loader), "evaluate")
            errors = measure(videos, group, rule, cfg.metric.batch_size, cfg.metric.people)
            figures |= {name: grouped.values() for name, grouped in errors.items()}
        return figures

    frames = windows((1, 1), "squash").total_frames
    check(frames > 0, "stream.end", cfg.stream.get("end"), "a range of at least one frame")
    facts = {"on": "stream", "videos": [clip.name for clip in source.clips], "frames": frames}
    return Plan(
        f"{frames:,} frames of {len(source.clips)} videos, missing joints: {rule.undetected_joints}", facts, run
    )


def plan_coco(cfg: DictConfig, predictors: Mapping[str, PoseNetwork]) -> Plan:
    """Read the annotations of a COCO set, on which the precision of all people found is measured.

    Raises:
        UserError: if the set cannot be used.
    """
    from datamodules.coco import CocoDataModule
    from datamodules.coco.augmentation import AugmentationConfig
    from pose_oad.offline.source_domain import measure_on_images
    from pose_oad.predict.networks import laid_alike

    root, batch_size = Path(str(cfg.coco.root)), cfg.metric.batch_size
    check(root.is_dir(), "coco.root", root, "the folder of a COCO tree")
    parts = []
    for resize_mode, group in laid_alike(
        predictors, "window.resize_mode", cfg.window.resize_mode, "skeleton", "input_size"
    ):
        one = next(iter(group.values()))
        data = CocoDataModule(
            root, one.skeleton, one.input_size, one.map_size, augmentation=AugmentationConfig(), val=cfg.coco.split,
            batch_size=batch_size, cache_mib=0, resize_mode=resize_mode,
            image_folder=cfg.coco.image_folder, category=cfg.coco.category, missing_images=cfg.coco.missing_images,
        )  # fmt: skip
        data.setup("validate")
        parts.append((group, data, resize_mode))
    images = len(parts[0][1].validation)
    if cfg.coco.images is not None:
        images = min(images, cfg.coco.images)

    def run() -> Figures:
        figures: Figures = {}
        for group, data, resize_mode in parts:
            batches = watched(data.val_dataloader(), -(-images // batch_size), "evaluate")
            figures |= measure_on_images(group, batches, data, resize_mode, images)
        return figures

    facts = {"on": "coco", "root": str(root), "split": cfg.coco.split, "images": images}
    return Plan(f"{images:,} images of {root}, {cfg.coco.split}", facts, run)


@contextmanager
def tracked(
    cfg: DictConfig, kind: str, runs: Mapping[str, tuple[str, dict[str, str]]]
) -> Iterator[Callable[[Figures], None]]:
    """Open runs in the tracking store, and close them as what they became.

    Args:
        cfg: the configuration; ``tracking.uri=null`` tracks nothing
        kind: of the runs
        runs: the end of a run's name, and tags of its own, by its label

    Yields:
        What takes their figures, by label and name.

    Raises:
        UserError: if the store cannot be opened.
    """
    from pose_oad.tracking.store import log_provenance, make_logger

    loggers: dict[str, MLFlowLogger] = {}

    def track(figures: Figures) -> None:
        for label, logger in loggers.items():
            finite = {f"final/{name}": value for name, value in figures[label].items() if math.isfinite(value)}
            logger.log_metrics(finite)

    status = "failed"
    try:
        for label, (name, tags) in runs.items() if cfg.tracking.uri else ():
            tags = {"pose_oad.kind": kind, "pose_oad.label": label, **tags}
            loggers[label] = make_logger(cfg, f"{kind.partition('_')[0]}-{name}", tags)
            log_provenance(loggers[label], cfg)
        yield track
        status = "success"
    finally:
        for logger in loggers.values():
            logger.finalize(status)


def _describe(path: str, predictor: PoseNetwork) -> dict[str, Any]:
    """Say in plain values what was measured."""
    from pose_oad.tracking.store import file_hash

    return {
        "checkpoint": path,
        "sha256": file_hash(path),
        "name": predictor.name,
        "skeleton": predictor.skeleton.name,
        "input_size": list(predictor.input_size),
    }
