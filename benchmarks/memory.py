"""Whether memory grows with the stream: the peak of a run beside that of one four times as long."""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmarks.figures import Figure
from benchmarks.setting import describe_student, online_config, silence

log = logging.getLogger(__name__)

_LIMIT = 1.05


def bench_memory(cfg: DictConfig) -> list[Figure]:
    """Compare the peak memory of two online runs, each in a process of its own.

    Args:
        cfg: ``conf/bench.yaml``

    """
    log.info("  student: %s", describe_student(cfg))
    peaks, frames = {}, {}
    for name, share in (("quarter", 0.25), ("whole", 1.0)):
        with tempfile.TemporaryDirectory() as folder:
            online = OmegaConf.to_container(online_config(cfg, Path(folder), share))
            # A new interpreter: what this process has held so far must not count.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                peaks[name], frames[name] = pool.submit(_peak_of_run, online).result()
        log.info("  %s: %d frames, %.0f MB", name, frames[name], peaks[name])
    how = f"peak resident memory, {frames['whole']} / {frames['quarter']} frames"
    return [
        Figure("memory.ratio", peaks["whole"] / peaks["quarter"], "x", how, _LIMIT),
        Figure("memory.quarter", peaks["quarter"], "MB", f"{frames['quarter']} frames"),
        Figure("memory.whole", peaks["whole"], "MB", f"{frames['whole']} frames"),
    ]


def _peak_of_run(online: Any) -> tuple[float, int]:
    """Run the online command and return the largest memory this process has held, MB, and the frames it played."""
    from callbacks.timing import peak_resident
    from pose_oad.cli.online import main

    with silence():
        frames = main(OmegaConf.create(online))["frames"]
    return peak_resident(), int(frames)
