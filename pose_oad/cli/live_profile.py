"""A dry run of the live service: measure this machine on this camera, and say whether it keeps up."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pose_oad.live.camera import Camera
from pose_oad.tracking.schema import build_options

_LOG = logging.getLogger(__name__)


def dry_run(cfg: DictConfig, camera: Camera) -> dict[str, Any]:
    """Measure for ``profile_s`` as ``pose-oad profile`` does, and say what the clock makes of it.

    Args:
        cfg: ``conf/live.yaml`` with overrides
        camera: tells size and rate; it is closed

    Returns:
        ``student_s``, ``window_s``, ``taken_s`` (by part), ``ready`` and ``highest_rate``.
    """
    from datamodules.windowing import window_length
    from pose_oad.cli import profile
    from pose_oad.cli.live import adapter_config
    from pose_oad.metrics.latency import highest_rate
    from pose_oad.online.clocks import Device, ProfileClock, Work
    from pose_oad.online.triggers import Always

    folder, rate, live = Path(cfg.output.folder), camera.rate, camera.live
    made = adapter_config(cfg, camera, folder)
    camera.close()
    frames = window_length(cfg.window.seconds, cfg.window.frames, rate)
    given = cfg.camera
    made.stream = {"_target_": "datamodules.video.VideoFileSource", "path": given.path, "rate": given.image_rate}
    if live:
        options = {key: given[key] for key in ("path", "timeout", "rate", "kind", "options")}
        made.stream = {"_target_": "datamodules.video.LiveSource", **options}
    else:
        made.window.camera_rate = given.rate
    made.clock = {"_target_": "pose_oad.online.clocks.InstantClock"}
    made.metric.teacher_every, made.metric.batch_size, made.threads = frames, 1, cfg.threads
    made.profile = {"seconds": cfg.profile_s, "file": str(folder / "this_machine.yaml")}
    measured = profile.main(made)
    device = build_options(Device, measured)
    labels, training = Always(cfg.rate).labels(frames), cfg.training
    steps = training.steps if training.unit == "steps" else training.epochs * math.ceil(labels / training.batch_size)
    window_s = frames / rate
    charge = ProfileClock(device, training.batch_size).charge(Work(0.0, window_s, frames, labels, steps, {}))
    parts = {name: seconds for name, seconds in charge.parts.items() if seconds}
    taken, fixed = sum(parts.values()), parts.get("select", 0.0)
    highest = highest_rate(window_s, frames, fixed, (taken - fixed) / max(1, labels))
    student_s = float(measured["student_s"])  # type: ignore[arg-type]
    _LOG.info(
        "%s: %g frames/s; a pose takes %.0f ms of %.0f ms", camera.source, rate, 1e3 * student_s, 1e3 / rate
    )  # fmt: skip
    _LOG.info(
        "a window of %g s with %d labels takes %.1f s (%s): %s before the next closes; the highest rate that keeps up "
        "is %.2f%%",
        window_s, labels, taken, ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items()),
        "ready" if taken <= window_s else "not ready", 100 * highest,
    )  # fmt: skip
    return {
        "student_s": student_s, "window_s": window_s, "taken_s": parts, "ready": taken <= window_s,
        "highest_rate": highest,
    }  # fmt: skip
