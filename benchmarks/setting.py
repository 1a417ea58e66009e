"""The run that is measured: an online run in a folder of its own, of part of the stream."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from pose_oad.students import StudentConfig, build_student
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import check

#: Keys of ``conf/bench.yaml`` that are not the online command's.
_OWN = ("only", "repeats", "share", "video", "photographs", "strict")


def online_config(cfg: DictConfig, folder: Path, share: float) -> DictConfig:
    """Turn the configuration of a benchmark into that of one online run.

    Args:
        cfg: the benchmark's
        folder: where the run may write; its tracking store is in there too
        share: part of the stream to play, from its start, in (0, 1]

    Returns:
        The run's configuration, on the CPU; the one given stays as it is.

    Raises:
        UserError: if the share is out of range.
    """
    number = isinstance(share, int | float) and not isinstance(share, bool)
    check(number and 0 < share <= 1, "share", share, "a part of the stream in (0, 1]")
    online = cfg.copy()
    with open_dict(online):
        for key in _OWN:
            online.pop(key, None)
        online.output.pop("file", None)
    online.stream.end = online.stream.start + share * (online.stream.end - online.stream.start)
    online.tracking.uri, online.tracking.artifacts = f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts")
    online.output.folder = str(folder / "runs")
    online.trainer.accelerator = "cpu"
    if not Path(online.checkpoint).is_file():
        online.checkpoint = str(_random_student(online.student, folder))
    return online


def describe_student(cfg: DictConfig) -> str:
    """Say which student is measured: its name, and whether it has been pre-trained."""
    trained = Path(cfg.checkpoint).is_file()
    return f"{cfg.student.name}, {cfg.checkpoint if trained else f'random weights ({cfg.checkpoint} does not exist)'}"


def _random_student(node: DictConfig, folder: Path) -> Path:
    """Write the checkpoint of a student that has not been trained, unless it is there: its speed is the same."""
    path = folder / "random.ckpt"
    if not path.exists():
        torch.manual_seed(0)
        values = cast("dict[str, Any]", OmegaConf.to_container(node))
        save_student(build_student(StudentConfig.from_dict(values | {"pretrained": False})), path)
    return path


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep a run's progress bar and its table at the end from the terminal."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
