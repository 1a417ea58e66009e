"""What choosing 15 of 1500 frames costs, beside predicting them, with one thread: each strategy as configured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from omegaconf import DictConfig

from benchmarks.figures import Figure
from benchmarks.paired import median
from callbacks.strategies import QueryStrategy
from pose_oad.cli.assembly import load_run_student, make_stage
from pose_oad.cli.command import CONF, compose_config
from pose_oad.online.history import LabelHistory
from pose_oad.online.label_service import LabelService
from pose_oad.online.stopwatch import Stopwatch
from pose_oad.online.view import Situation
from pose_oad.online.window import FrameWindow, Segment
from pose_oad.online.window_poses import predict_in_window
from pose_oad.poses.geometry import FrameResize
from pose_oad.students import PoseStudent
from pose_oad.teachers.truth import TruthTeacher

_FRAMES, _CHOSEN, _LABELLED = 1500, 15, 300
_LIMIT = 0.05


class ProcessorWatch(Stopwatch):
    """Seconds of the processor, not of the wall."""

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the processor's time inside the block to a phase."""
        start = time.process_time()
        try:
            yield
        finally:
            self.seconds[phase] += time.process_time() - start


def bench_selection(cfg: DictConfig) -> list[Figure]:
    """Time every strategy once a round on noise, with labels of earlier windows in the history.

    Args:
        cfg: ``conf/bench.yaml``

    Raises:
        UserError: if the student cannot be loaded.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure(cfg)
    finally:
        torch.set_num_threads(threads)


def _measure(cfg: DictConfig) -> list[Figure]:
    student = load_run_student(cfg).eval()
    window, history = _window(student), LabelHistory()
    start = time.process_time()
    predictions = predict_in_window(student, window).single
    predicting = time.process_time() - start
    rows = torch.arange(_LABELLED) % len(window)
    history.add(np.arange(_LABELLED) - _LABELLED, predictions[rows] + torch.randn(_LABELLED, 1, 3) * 5)
    figures = [median("selection.predict", [predicting], "s", f"predicting {len(window)} frames, processor time")]
    for name, strategy in _strategies(student).items():
        own, looks = [], []
        for _ in range(cfg.repeats):
            watch = ProcessorWatch()
            situation = Situation(
                window, student, LabelService(TruthTeacher(student.skeleton)), predictions, history=history, watch=watch
            )
            start = time.process_time()
            strategy.choose(situation, _CHOSEN)
            looks.append(watch.seconds["look"] / predicting)
            own.append((time.process_time() - start) / predicting - looks[-1])
        what, limit = "/ seconds of predicting", None if strategy.costly else _LIMIT
        chosen = median(f"selection.{name}", own, "", f"seconds of choosing {what}")
        figures.append(replace(chosen, limit=limit))
        if max(looks):
            figures.append(median(f"selection.{name}.look", looks, "", f"its forward passes {what}"))
    return figures


def _strategies(student: PoseStudent) -> dict[str, QueryStrategy]:
    """Return every strategy but the references, reading the student as it is now."""
    found = {}
    for path in sorted((CONF / "strategy").glob("*.yaml")):
        strategy = make_stage(compose_config("online", [f"strategy={path.stem}"]).strategy)
        if not strategy.reference:
            strategy._frozen, strategy.scorer = student, "live"
            found[path.stem] = strategy
    return found


def _window(student: PoseStudent) -> FrameWindow:
    """Return a window of noise with a person anywhere in every frame."""
    generator = torch.Generator().manual_seed(0)
    width, height = student.input_size
    truth = torch.rand(_FRAMES, 1, len(student.skeleton), 3, generator=generator)
    truth[..., :2] *= torch.tensor([width, height])
    truth[..., 2] = 1
    resize = FrameResize.of((width, height), (width, height), "letterbox")
    return FrameWindow(
        index=0,
        frames=torch.randint(0, 256, (_FRAMES, height, width, 3), dtype=torch.uint8, generator=generator),
        ids=np.arange(_FRAMES),
        candidates=np.arange(_FRAMES),
        segments=(Segment("noise", 0, _FRAMES, resize),),
        truth_skeleton=student.skeleton,
        _sealed_truth=truth,
    )
