"""What the study runner costs beside its trials, and what a second worker is worth."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from benchmarks.figures import Figure
from benchmarks.setting import online_config
from pose_oad.cli.command import compose_config, plain
from pose_oad.cli.online import play
from pose_oad.studies.plan import Study, overrides, slots
from pose_oad.studies.runner import run_study
from pose_oad.tracking.errors import check
from pose_oad.tracking.store import flatten

log = logging.getLogger(__name__)

_STRATEGIES = ("uniform", "random", "error", "confidence")
_OVERHEAD, _SPEED_UP = 1.05, 1.6
_FRAMEWORK = "paper"  # conf/bench.yaml's


def bench_study(cfg: DictConfig) -> list[Figure]:
    """Run the same trials alone, one after another; as a study with one worker; and with two.

    Four strategies with two seeds, one torch thread each. Every way decodes into a cache of its own, and keeps its
    records in a folder of its own.

    Args:
        cfg: ``conf/bench.yaml``

    Returns:
        The runner's overhead, the speed-up of a second worker, and the seconds behind them; one round, since it takes
        minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = online_config(cfg, Path(folder), cfg.share)
        study = Study("bench", "?", _changed(base), seeds=[0, 1], grid={"strategy": list(_STRATEGIES)})
        _alone(study, Path(folder) / "warm_up", limit=1)  # a first trial also pays for importing and for caches
        seconds = {
            "alone": _timed(lambda: _alone(study, Path(folder) / "alone")),
            "one": _timed(lambda: _as_study(study, Path(folder) / "one", 1)),
            "two": _timed(lambda: _as_study(study, Path(folder) / "two", 2)),
        }
    how = f"{len(slots(study))} trials of {cfg.share:g} of the stream, rate {base.rate:g}"
    return [
        Figure("study.overhead", seconds["one"] / seconds["alone"], "x", f"one worker / alone; {how}", _OVERHEAD),
        Figure(
            "study.speed_up", seconds["one"] / seconds["two"], "x", f"one worker / two; {how}", _SPEED_UP, "at least"
        ),
        *(Figure(f"study.{name}", value, "s", how) for name, value in seconds.items()),
    ]


def _changed(base: DictConfig) -> dict[str, object]:
    """List the values of a run that are not the online command's own, by key: what the trials' overrides must say.

    Raises:
        UserError: if another choice than the default has been made, whose keys are others.
    """
    usual, wanted = (dict(flatten(plain(cfg))) for cfg in (compose_config("online", [f"framework={_FRAMEWORK}"]), base))
    values = {key: value for key, value in wanted.items() if value != usual.get(key)}
    values = {key: value for key, value in values.items() if not key.startswith(("output.", "tracking.", "strategy."))}
    others = [key for key in values if key not in usual or key.endswith("_target_")]
    check(not others, "only=study", ", ".join(others), "values other than the defaults, but no other choices")
    return {"framework": _FRAMEWORK, **values}


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    log.info("  %.1f s", time.perf_counter() - started)
    return time.perf_counter() - started


def _records(folder: Path) -> dict[str, object]:
    return {
        "tracking.uri": f"sqlite:///{folder}/mlflow.db", "tracking.artifacts": str(folder / "artifacts"),
        "output.folder": str(folder / "runs"), "output.figures": False, "window.cache": str(folder / "frames"),
        "threads": 1,
    }  # fmt: skip


def _alone(study: Study, folder: Path, limit: int | None = None) -> None:
    for slot in slots(study)[:limit]:
        settings = [*overrides(_records(folder)), *overrides(study.set)]
        play(compose_config("online", [*settings, *slot.overrides, f"seed.base={slot.seeds[0]}"]))


def _as_study(study: Study, folder: Path, workers: int) -> None:
    node = {"name": study.name, "question": study.question, "set": study.set, "seeds": list(study.seeds),
            "grid": study.grid}  # fmt: skip
    cfg = compose_config("sweep", [f"workers={workers}", f"folder={folder}/study", f"cache={folder}/frames"])
    OmegaConf.set_struct(cfg, False)
    cfg.study = node
    cfg.tracking = {"uri": f"sqlite:///{folder}/mlflow.db", "artifacts": str(folder / "artifacts"),
                    "experiment": study.name}  # fmt: skip
    run_study(cfg)
