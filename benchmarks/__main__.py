"""Measure speed and memory beside bare loops: maps, a stream, a step, the online loop, predict, memory of long streams.

Every key and choice of the command online can be overridden here too: that is the run that is measured.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig

from pose_oad.cli.command import run_command
from pose_oad.tracking.errors import UserError, check, nearest

if TYPE_CHECKING:
    from benchmarks.figures import Figure

log = logging.getLogger(__name__)

#: Sections that take several minutes: measured when asked for by name.
LONG = ("study", "openpose", "human36m", "selection")


def main(cfg: DictConfig) -> list[Figure]:
    """Measure the sections asked for, show the figures and write them to a file.

    Args:
        cfg: ``conf/bench.yaml`` with overrides

    Returns:
        The figures, in the order of the sections.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been written then.
        SystemExit: with code 1, if ``strict`` and a limit is missed.
    """
    from rich.console import Console

    from benchmarks.figures import figure_table
    from benchmarks.setting import describe_student
    from pose_oad.tracking.machine import machine
    from pose_oad.tracking.store import quiet_libraries

    check(isinstance(cfg.repeats, int) and cfg.repeats >= 1, "repeats", cfg.repeats, "a whole number, 1 or more")
    check(isinstance(cfg.strict, bool), "strict", cfg.strict, "true or false")
    chosen = choose(cfg.only)
    quiet_libraries()
    facts = machine() | {"student": describe_student(cfg)}
    figures: list[Figure] = []
    for name, measure in chosen.items():
        log.info("%s", name)
        figures += measure(cfg)
    title = f"{facts['cores']} cores, load {facts['load_average']} at the start"
    Console().print(figure_table(figures, title))
    if cfg.output.file is not None:
        path = Path(cfg.output.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"facts": facts, "figures": [f.to_dict() for f in figures]}, indent=2) + "\n")
        log.info("written to %s", path)
    missed = [figure.name for figure in figures if figure.ok is False]
    if missed and cfg.strict:
        log.error("limit missed: %s", ", ".join(missed))
        raise SystemExit(1)
    return figures


def choose(only: ListConfig | str | None) -> dict[str, Callable[[DictConfig], list[Figure]]]:
    """Pick sections by name.

    Args:
        only: one name or several; all but those in :data:`LONG` where None

    Returns:
        The sections, in their own order.

    Raises:
        UserError: if there is none of a name.
    """
    known = sections()
    usual = [name for name in known if name not in LONG]
    names = [only] if isinstance(only, str) else list(usual if only is None else only)
    for name in names:
        if name not in known:
            raise UserError(f"only={name}: no such section{nearest(str(name), known)}")
    return {name: measure for name, measure in known.items() if name in names}


def sections() -> dict[str, Callable[[DictConfig], list[Figure]]]:
    """Return what can be measured: a function from configuration to figures for each section."""
    from benchmarks.human36m import bench_human36m
    from benchmarks.maps import bench_maps
    from benchmarks.memory import bench_memory
    from benchmarks.online_loop import bench_online_loop
    from benchmarks.openpose import bench_openpose
    from benchmarks.predict import bench_predict
    from benchmarks.selection import bench_selection
    from benchmarks.step import bench_step
    from benchmarks.stream import bench_stream
    from benchmarks.study import bench_study

    return {
        "maps": bench_maps,
        "stream": bench_stream,
        "step": bench_step,
        "online_loop": bench_online_loop,
        "predict": bench_predict,
        "memory": bench_memory,
        "human36m": bench_human36m,
        "study": bench_study,
        "selection": bench_selection,
        "openpose": bench_openpose,
    }


if __name__ == "__main__":
    run_command("bench", main)
