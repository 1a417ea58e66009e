"""Measure one or several students on a COCO set or on a stream, and compare them in one table.

A student is a checkpoint or an exported network. Nothing is trained; every frame is decoded once for all students of
one input size.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from lightning.pytorch.loggers import MLFlowLogger
from omegaconf import DictConfig, OmegaConf
from pydantic import Field
from rich.console import Console

from datamodules.coco import CocoDataModule
from datamodules.coco.augmentation import AugmentationConfig
from datamodules.stream import WindowLoader
from datamodules.video.clips import FrameSource
from datamodules.video.frames import FrameCache
from datamodules.windowing import StreamOptions
from pose_oad.cli.assembly import take_threads
from pose_oad.cli.command import build, check_keys
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.metrics.people import check_people
from pose_oad.offline.source_domain import measure_on_images
from pose_oad.online.breakdown import measure
from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import Skeleton, joint_map
from pose_oad.predict.comparison import comparison_table, without_nan
from pose_oad.predict.networks import laid_alike, load_predictor
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.files import Staging
from pose_oad.tracking.progress import watched
from pose_oad.tracking.schema import Count, Text
from pose_oad.tracking.store import file_hash, log_provenance, make_logger, quiet_libraries

Figures = dict[str, dict[str, float]]


class Plan(NamedTuple):
    """A measurement that is ready to start: what it is of, in a line and in plain values, and what does it."""

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
    quiet_libraries()
    paths = _checkpoints(cfg)
    cfg.threads = take_threads(cfg.threads)
    file = Path(cfg.output.file) if cfg.output.file else None
    with Staging(cfg.overwrite) as staging:
        if file is not None:
            staging.refuse("output.file", file)
        networks = {path: load_predictor(path, cfg.device, cfg.threads) for path in paths}
        plan = plan_stream(cfg, networks) if cfg.on == "stream" else plan_coco(cfg, networks)
        place = staging.place("output.file", file) if file is not None else None
        sums = {path: file_hash(path) for path in paths}
        runs = {path: (f"{cfg.on}-{Path(path).stem}", {"checkpoint.sha256": sums[path]}) for path in paths}
        with tracked(cfg, "evaluate", runs) as track:
            measured = plan.measure()
            figures = {path: measured[path] for path in paths}
            if place is not None:
                known = [_describe(path, networks[path], sums[path]) | {"figures": figures[path]} for path in paths]
                place.write_text(json.dumps(without_nan(plan.facts | {"checkpoints": known}), indent=1) + "\n")
            track(figures)
    several = any("people/AP" in values for values in figures.values())
    Console().print(comparison_table(figures, plan.title + ", several people, matched by OKS" * several))
    return figures


def _checkpoints(cfg: DictConfig) -> list[str]:
    """Return the paths of the checkpoints; refuse values that nobody else checks."""
    check_measured(cfg)
    check_keys(cfg, {"metric.batch_size": Count, "checkpoints": Text | Annotated[list[Text], Field(min_length=1)]})
    paths = list(cfg.checkpoints) if OmegaConf.is_list(cfg.checkpoints) else [cfg.checkpoints]
    check(len(set(paths)) == len(paths), "checkpoints", cfg.checkpoints, "each file once")
    return paths


def check_measured(cfg: DictConfig) -> None:
    """Refuse values of what is measured on, and of where figures go, that nobody else checks."""
    check_keys(cfg, {
        "on": Literal["stream", "coco"], "window.frames": Count, "coco.images": Count | None,
        "coco.missing_images": Literal["refuse", "skip"], "output.file": Text | None, "overwrite": bool,
    })  # fmt: skip
    check_people(cfg.metric.people)
    check(
        cfg.on == "stream" or Path(str(cfg.coco.root)).is_dir(), "coco.root", cfg.coco.root, "the folder of a COCO tree"
    )


def open_with_truth(cfg: DictConfig) -> tuple[FrameSource, Skeleton]:
    """Open the videos of a stream, which must have a ground truth; return them and its joint set."""
    source: FrameSource = build(cfg.stream)
    if source.skeleton is None:
        raise UserError("stream: its videos have no ground truth; expected some that have, as stream=human36m")
    return source, source.skeleton


def plan_stream(cfg: DictConfig, networks: Mapping[str, PoseNetwork]) -> Plan:
    """Open the videos of a stream, whose errors are measured frame by frame; refuse what cannot be measured."""
    rule = MissingRule(cfg.metric.undetected_joints, cfg.metric.threshold, cfg.metric.penalty).validate()
    window, (source, truth) = cfg.window, open_with_truth(cfg)
    groups = laid_alike(networks, "window.resize_mode", window.resize_mode, "input_size")
    for network in networks.values():
        joint_map(truth, network.skeleton)  # refuses sets without a common joint
    cache = FrameCache(Path(str(window.cache))) if window.cache else None

    def windows(size: tuple[int, int], resize_mode: ResizeMode) -> WindowLoader:
        threads = window.decoder_threads
        options = StreamOptions(
            window.frames, size, resize_mode, window.camera_rate, decoder_threads=threads, cache=cache
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


def plan_coco(cfg: DictConfig, networks: Mapping[str, PoseNetwork]) -> Plan:
    """Read the annotations of a COCO set, on which the precision of all people found is measured."""
    coco, batch_size = cfg.coco, cfg.metric.batch_size
    parts = []
    for resize_mode, group in laid_alike(
        networks, "window.resize_mode", cfg.window.resize_mode, "skeleton", "input_size"
    ):
        one = next(iter(group.values()))
        data = CocoDataModule(
            Path(str(coco.root)), one.skeleton, one.input_size, one.map_size, augmentation=AugmentationConfig(),
            val=coco.split, batch_size=batch_size, cache_mib=0, resize_mode=resize_mode,
            image_folder=coco.image_folder, category=coco.category, missing_images=coco.missing_images,
        )  # fmt: skip
        data.setup("validate")
        parts.append((group, data, resize_mode))
    images = min(len(parts[0][1].validation), coco.images or sys.maxsize)

    def run() -> Figures:
        figures: Figures = {}
        for group, data, resize_mode in parts:
            batches = watched(data.val_dataloader(), -(-images // batch_size), "evaluate")
            figures |= measure_on_images(group, batches, data, resize_mode, images)
        return figures

    facts = {"on": "coco", "root": str(coco.root), "split": coco.split, "images": images}
    return Plan(f"{images:,} images of {coco.root}, {coco.split}", facts, run)


@contextmanager
def tracked(
    cfg: DictConfig, kind: str, runs: Mapping[str, tuple[str, dict[str, str]]]
) -> Iterator[Callable[[Figures], None]]:
    """Open runs in the tracking store, by label with the end of their names and tags of their own, and close them.

    Yields:
        What takes their figures, by label and name; with ``tracking.uri=null`` it does nothing.
    """
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


def _describe(path: str, network: PoseNetwork, sha256: str) -> dict[str, Any]:
    """Say in plain values what was measured."""
    size, joints = list(network.input_size), network.skeleton.name
    return {"checkpoint": path, "sha256": sha256, "name": network.name, "skeleton": joints, "input_size": size}
