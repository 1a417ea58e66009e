"""What the machinery costs: the online command beside a plain loop that does the same work."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from benchmarks.figures import Figure
from benchmarks.paired import alternate, median, ratio
from benchmarks.plain_loop import PlainStream, plain_loop
from benchmarks.setting import describe_student, online_config, silence
from callbacks.ledger import read_ledger
from datamodules.windowing import window_length
from pose_oad.cli import online
from pose_oad.cli.command import build
from pose_oad.online.options import TrainingOptions
from pose_oad.poses.geometry import FrameResize
from pose_oad.students import load_student
from pose_oad.tracking.errors import check
from pose_oad.tracking.torch_file import read_torch_file

log = logging.getLogger(__name__)

_LIMIT = 1.10
# What the plain loop knows; with other values it would not do the same work.
_FIXED: dict[str, Any] = {
    "strategy._target_": "callbacks.strategies.sampling.Random",
    "teacher._target_": "pose_oad.teachers.truth.TruthTeacher",
    "teacher.every": 1,
    "teacher.noise": 0.0,
    "teacher.misses": 0.0,
    "teacher.swaps": 0.0,
    "window.camera_rate": None,
    "training.unit": "epochs",
    "training.optimizer_state": "fresh",
    "training.labels": "keypoints",
    "metric.undetected_joints": "argmax",
    "trainer.precision": "32-true",
    "trainer.limit_train_batches": None,
}


@dataclass
class Outcome:
    """What a loop did.

    Attributes:
        weights: the student's at the end, by name
        selected: chosen frames of each window, by number in the stream
        errors: mean error of each window before training on it, px
    """

    weights: dict[str, Tensor]
    selected: list[list[int]]
    errors: list[float]


@dataclass
class _Contest:
    """The two loops, and what they did last.

    Attributes:
        cfg: configuration of the online run
        outcomes: of the latest run of each loop, by name
        outside: seconds of each online run before its first and after its last window
        frames: frames of the stream
    """

    cfg: DictConfig
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    outside: list[float] = field(default_factory=list)
    frames: int = 0

    def online(self) -> float:
        """Run the online command and return the seconds its stream took."""
        with tempfile.TemporaryDirectory(dir=Path(self.cfg.output.folder).parent) as folder, silence():
            cfg = self.cfg.copy()
            cfg.output.folder = folder
            cfg.metric.frozen_twin = False  # the plain loop has none
            started = time.perf_counter()
            summary = online.main(cfg)
            # The plain loop's seconds include taking the errors, too.
            stream = summary["wall_clock_s"] + summary["seconds/evaluate"]
            self.outside.append(time.perf_counter() - started - stream)
            [run] = Path(folder).iterdir()
            rows = read_ledger(run / "ledger.jsonl")
            weights = read_torch_file(run / "student.ckpt")["state_dict"]
        self.frames = int(summary["frames"])
        self.outcomes["online"] = Outcome(
            {key.removeprefix("student."): value for key, value in weights.items()},
            [row["selected_frames"] for row in rows],
            [row["mpjpe_px"] for row in rows],
        )
        return stream

    def plain(self, prefetch: bool = True) -> float:
        """Run the plain loop and return the seconds it took."""
        cfg = self.cfg
        student = load_student(cfg.checkpoint)
        training = TrainingOptions(**cfg.training, seed=cfg.seed.model)
        stream = _stream(cfg, student.input_size)
        run = plain_loop(student, stream, training, cfg.rate, cfg.seed.selection, cfg.metric.batch_size, prefetch)
        self.outcomes["plain" if prefetch else "in line"] = Outcome(student.state_dict(), run.selected, run.errors)
        return run.seconds


def bench_online_loop(cfg: DictConfig) -> list[Figure]:
    """Time the online loop against the plain one, and make sure that they did the same.

    Args:
        cfg: ``conf/bench.yaml``

    Raises:
        UserError: if the configuration asks for something that the plain loop does not know.
        RuntimeError: if the two loops did not end with the same.
    """
    for key, value in _FIXED.items():
        given = OmegaConf.select(cfg, key)
        check(given == value, key, given, f"{value} in the section online_loop, as the plain loop knows nothing else")
    log.info("  student: %s", describe_student(cfg))
    with tempfile.TemporaryDirectory() as folder:
        contest = _Contest(online_config(cfg, Path(folder), cfg.share))
        # Rounds turn around: the two that count take turns at both ends, the third stays in between.
        cases = {"online": contest.online, "in line": lambda: contest.plain(prefetch=False), "plain": contest.plain}
        seconds = alternate(cases, cfg.repeats)
    for name in ("plain", "in line"):
        require_same_work(contest.outcomes["online"], contest.outcomes[name])
    work = f"{contest.frames} frames, {len(contest.outcomes['online'].errors)} windows"
    return [
        ratio("online_loop.ratio", seconds["online"], seconds["plain"], f"online / plain loop; {work}", _LIMIT),
        ratio("online_loop.ratio_in_line", seconds["online"], seconds["in line"], "… / plain without prefetch"),
        median("online_loop.online", seconds["online"], "s", "the stream, first window to last"),
        median("online_loop.plain", seconds["plain"], "s", "the same, plain loop with prefetch"),
        median("online_loop.plain_in_line", seconds["in line"], "s", "the same, plain loop without prefetch"),
        median("online_loop.outside", contest.outside[1:], "s", "online: start-up, figures and artifacts"),
    ]


def _stream(cfg: DictConfig, input_size: tuple[int, int]) -> PlainStream:
    source = build(cfg.stream)
    sizes = sorted({clip.frame_size for clip in source.clips})
    check(len(sizes) == 1, "stream", sizes, "recordings of one frame size, as the plain loop knows nothing else")
    window = window_length(cfg.window.seconds, cfg.window.frames, source.clips[0].rate)
    resize = FrameResize.of(sizes[0], input_size, cfg.window.resize_mode)
    scale = source.metric_width / sizes[0][0] if source.metric_width else 1.0
    return PlainStream(source.clips, source.skeleton, resize, scale, window, cfg.window.decoder_threads)


def require_same_work(ours: Outcome, other: Outcome) -> None:
    """Refuse to compare loops of which one did other work.

    Args:
        ours: what the online loop did
        other: what the plain loop did

    Raises:
        RuntimeError: if they differ by more than rounding.
    """
    if ours.selected != other.selected:
        raise RuntimeError("the plain loop chose other frames than the online loop")
    # Both do the same arithmetic in the same order; the tolerance is for threads that sum in another one.
    if len(ours.errors) != len(other.errors) or not np.allclose(ours.errors, other.errors, rtol=1e-3):
        raise RuntimeError(f"the plain loop measured {other.errors} px a window, the online loop {ours.errors} px")
    for key, value in ours.weights.items():
        if not torch.allclose(value.float(), other.weights[key].float(), rtol=1e-2, atol=1e-3):
            worst = float((value.float() - other.weights[key].float()).abs().max())
            raise RuntimeError(f"the plain loop ended with other weights: {key} differs by up to {worst:g}")
