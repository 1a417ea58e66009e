"""A student small enough to train in a test, labelled frames, and maps worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.objectives import MapOutputs, TrainingTarget
from pose_oad.poses.maps import MapTargets
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student

BODY = get_skeleton("body-12")
#: Two joints and the limb between them.
PAIR = Skeleton("pair", ("left_knee", "left_ankle"), ((0, 1),))


def small_student() -> PoseStudent:
    """Return a student of 32x32 px, always the same."""
    torch.manual_seed(0)
    return build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))


def labelled(frames: int, origin: list[int] | None = None, seed: int = 0) -> LabelledBatch:
    """Return frames of noise with one person each at random."""
    rng = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(frames, 1, 12, 3, generator=rng) * 32
    keypoints[..., 2] = 1
    known, limbs = torch.ones(frames, 12, dtype=torch.bool), torch.ones(frames, len(BODY.limbs), dtype=torch.bool)
    pictures = torch.randint(255, (frames, 32, 32, 3), dtype=torch.uint8, generator=rng)
    origins = torch.tensor(origin or [], dtype=torch.int8)
    return LabelledBatch(pictures, keypoints, known, limbs, torch.arange(frames), origin=origins)


def sgd(network: PoseStudent, learning_rate: float = 1e-2) -> Callable[[Tensor], None]:
    """Return what makes a step of a loss, by plain gradient descent."""

    def optimise(loss: Tensor) -> None:
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter -= learning_rate * parameter.grad

    return optimise


def pair_maps(maps: list[list[float]], size: tuple[int, int]) -> MapTargets:
    """Return maps of one frame and both joints of :data:`PAIR`, cell by cell, with empty fields."""
    return MapTargets(torch.tensor(maps).view(1, 2, *size), torch.zeros(1, 1, 2, *size))


def pair_target(maps: list[list[float]], size: tuple[int, int]) -> TrainingTarget:
    """Return what such maps ask for, everything known."""
    return TrainingTarget(pair_maps(maps, size), PAIR, torch.ones(1, 2, dtype=torch.bool))


def predicted(maps: list[list[float]], size: tuple[int, int]) -> MapOutputs:
    """Return such maps as a student predicts them, with a gradient to look at."""
    outputs = MapOutputs(*pair_maps(maps, size))
    outputs.confidence_maps.requires_grad_()
    return outputs
