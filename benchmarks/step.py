"""What one optimiser step costs with one thread: larger batches, views of frames, memories."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig

from benchmarks.figures import Figure
from benchmarks.paired import alternate, median, ratio
from pose_oad.cli.assembly import load_run_student
from pose_oad.cli.command import build, compose_config, plain
from pose_oad.online.batch import LabelledBatch
from pose_oad.online.learner import Learner
from pose_oad.online.options import TrainingOptions
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import build_options

_STEPS = 5  # in a round
_KEPT = 64  # frames in a memory
_LIMIT = 0.6
# Batch size and what is chosen; the first is what the others are compared with.
_CASES: dict[str, tuple[int, list[str]]] = {
    "four": (4, []),
    "eight": (8, []),
    "mild": (8, ["augmentation=mild"]),
    "strong": (8, ["augmentation=strong"]),
    "clipped": (8, ["optimizer.clip=1"]),
    **{name: (8, [f"memory={name}"]) for name in ("reservoir", "prioritised", "mir", "similar")},
}


def bench_step(cfg: DictConfig) -> list[Figure]:
    """Time steps of four frames as they are, and of eight with one stage each, per frame.

    Args:
        cfg: ``conf/bench.yaml``

    Raises:
        UserError: if the student cannot be loaded.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cases = {name: _case(cfg, size, chosen) for name, (size, chosen) in _CASES.items()}
        seconds = alternate(cases, 3 * cfg.repeats)
    finally:
        torch.set_num_threads(threads)
    per_frame = {name: [1e3 * each / (_STEPS * size) for each in seconds[name]] for name, (size, _) in _CASES.items()}
    how = "{} frames a step, processor time of one thread"
    figures = [
        median(f"step.{name}", per_frame[name], "ms/frame", " ".join([how.format(size), *chosen]))
        for name, (size, chosen) in _CASES.items()
    ]
    what = "a frame in a step of eight with augmentation=mild / one in a step of four as it is"
    return [*figures, ratio("step.ratio", per_frame["mild"], per_frame["four"], what, _LIMIT)]


def _case(cfg: DictConfig, size: int, chosen: list[str]) -> Callable[[], float]:
    """Return what trains a student of its own on a window, and the seconds that takes."""
    student = load_run_student(cfg)
    stages = compose_config("online", chosen)
    options = plain(cfg.training) | {"unit": "steps", "steps": _STEPS, "batch_size": size}
    learner = Learner(
        student,
        build_options(TrainingOptions, options, "training"),
        memory=build(stages.memory),
        augment=build(stages.augmentation, skeleton=student.skeleton),
        optimization=build(stages.optimizer),
    )
    learner.keep(_frames(student, _KEPT))
    new = _frames(student, size)
    optimizer = learner.optimization.build(student.parameters())

    def optimise(loss: Any) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        learner.optimization.before_step(optimizer.param_groups)
        optimizer.step()

    def seconds() -> float:
        start = time.process_time()
        learner.learn(new, 0, optimise)
        return time.process_time() - start

    return seconds


def _frames(student: PoseStudent, number: int) -> LabelledBatch:
    """Return frames of noise, each with a person anywhere."""
    generator = torch.Generator().manual_seed(number)
    (width, height), joints = student.input_size, len(student.skeleton)
    people = torch.rand(number, 1, joints, 3, generator=generator) * torch.tensor([width, height, 1.0])
    people[..., 2] = 1
    frames = torch.randint(0, 256, (number, height, width, 3), dtype=torch.uint8, generator=generator)
    known = torch.ones(number, joints, dtype=torch.bool)
    limbs = torch.ones(number, len(student.skeleton.limbs), dtype=torch.bool)
    return LabelledBatch(frames, people, known, limbs, torch.arange(number))
