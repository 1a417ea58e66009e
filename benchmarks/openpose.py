"""What labelling frames with OpenPose's network costs beside the network alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from benchmarks.figures import Figure
from benchmarks.paired import alternate, median, ratio
from pose_oad.cli.assembly import take_threads
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.openpose.networks import OpenPoseCoco18
from pose_oad.teachers.openpose.teacher import OpenPoseTeacher, prepare
from pose_oad.teachers.openpose.weights import load_openpose

_LIMIT = 1.15
_FRAMES, _SIDE = 2, 368  # px: one batch of square frames

# Standard deviation of the maps that the random network puts out. Noise beyond three deviations is taken for a joint:
# two to four a map, as in a picture of a few people. Fields are strong enough in places for joints to be linked.
_HEAT, _FIELD = 0.033, 0.05


def bench_openpose(cfg: DictConfig) -> list[Figure]:
    """Measure what a teacher of OpenPose's COCO-18 network takes, in times of the bare network.

    The bare side runs the same network on frames that have been prepared beforehand, in inference mode, and drops the
    maps. The teacher prepares the frames, runs the network, cuts and enlarges the maps and looks for people. The
    weights are random, which changes no convolution's speed; the last layers are scaled so that the maps hold about as
    many candidates as a picture of a few people: unscaled noise would keep the decoder busier than any picture.

    Args:
        cfg: ``conf/bench.yaml``

    Raises:
        UserError: if ``threads`` is out of range.
    """
    before = torch.get_num_threads()
    threads = take_threads(cfg.threads)
    images = np.random.default_rng(0).integers(0, 256, (_FRAMES, _SIDE, _SIDE, 3), dtype=np.uint8)
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "random.pth"
            prepared = prepare(torch.from_numpy(images))
            _write_weights(path, prepared)
            teacher = OpenPoseTeacher(str(path), height=_SIDE, batch_size=_FRAMES)
            network = load_openpose(path).to(memory_format=torch.channels_last)
        _compare(_label(teacher, images), _bare(network, prepared))
        cases: dict[str, Callable[[], float]] = {
            "teacher": lambda: _seconds(lambda: _label(teacher, images)),
            "bare": lambda: _seconds(lambda: _bare(network, prepared)),
        }
        seconds = alternate(cases, cfg.repeats)
    finally:
        torch.set_num_threads(before)
    what = f"{_FRAMES} frames of {_SIDE}x{_SIDE} px, {threads} torch threads"
    how = f"seconds of the teacher / of its network alone; {what}"
    figures = [ratio("openpose.ratio", seconds["teacher"], seconds["bare"], how, _LIMIT)]
    return figures + [median(f"openpose.{case}", taken, "s", what) for case, taken in seconds.items()]


def _label(teacher: OpenPoseTeacher, images: np.ndarray) -> Labels:
    return teacher.label(TeacherRequest(np.arange(len(images)), images, (_SIDE, _SIDE)))


@torch.inference_mode()
def _bare(network: nn.Module, prepared: Tensor) -> tuple[Tensor, Tensor]:
    return network(prepared)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _compare(labels: Labels, bare: tuple[Tensor, Tensor]) -> None:
    """Stop if the two sides do different work."""
    maps = cast(Tensor, labels.confidence_maps)
    if not torch.allclose(maps, bare[0][:, : maps.shape[1]], atol=1e-3):
        raise RuntimeError("the teacher's maps are not those of its network")


@torch.no_grad()
def _write_weights(path: Path, prepared: Tensor) -> None:
    """Write random weights of COCO-18 that give maps of the spread wanted for some input."""
    network = OpenPoseCoco18()
    generator = torch.Generator().manual_seed(0)
    layers = {name.rpartition(".")[2]: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    for layer in layers.values():
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    ends = (("Mconv7_stage6_L2", _HEAT), ("Mconv7_stage6_L1", _FIELD))
    for (name, spread), maps in zip(ends, network(prepared), strict=True):
        deviation, mean = torch.std_mean(maps, (0, 2, 3))
        layer = layers[name]
        layer.weight.mul_((spread / deviation).view(-1, 1, 1, 1))
        cast(Tensor, layer.bias).sub_(mean).mul_(spread / deviation)
    torch.save(network.state_dict(), path)
