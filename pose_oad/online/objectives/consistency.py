"""Frames without labels: the same poses, however a frame is distorted (BootsTAP), with one teacher or two in turn."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from pose_oad.online.averaging import Ema
from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.objectives.map_loss import limbs_of, masked_mse
from pose_oad.poses.maps.single import calibrated
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Count, Number, Share

_Momentum = Annotated[float, Field(ge=0, lt=1)]


class Consistency(Objective):
    """Draw maps of distorted frames towards those that an average of the weights predicts of the clean ones.

    Joints of which the average is not sure are left out. Labels are not read: sum it with an objective that reads them.

    Args:
        frames: number of frames in every step, drawn from the window
        momentum: share of the former average that each step leaves
        threshold: confidence from which the average is sure of a joint
        geometry: largest change of scale, and largest shift as a fraction of the frame
        colour: largest change of contrast, and of brightness as a fraction of the range
        seed: of the distortions
    """

    auxiliary = True

    def __init__(
        self,
        frames: Count = 4,
        momentum: _Momentum = 0.9,
        threshold: Share = 0.3,
        geometry: Share = 0.2,
        colour: Share = 0.2,
        seed: Number = 0,
    ) -> None:
        self.unlabelled_frames, self.threshold, self.seed = frames, threshold, seed
        self._distortions = self.turns(geometry, colour)
        self._teachers = [Ema(momentum) for _ in self._distortions]
        self._steps = 0
        self._student: PoseStudent

    def turns(self, geometry: float, colour: float) -> list[tuple[float, float]]:
        """Return by what geometry and colour the frames of each teacher are distorted."""
        return [(geometry, colour)]

    def started(self, student: PoseStudent) -> None:
        """Begin with the student's own weights."""
        self._student = student
        for teacher in self._teachers:
            teacher.started(student)

    def after_step(self, student: PoseStudent) -> None:
        """Take the weights into the average of the teacher whose turn it was."""
        self._teachers[self._steps % len(self._teachers)].after_step(student)
        self._steps += 1

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean squared difference of the maps, where the teacher is sure; zero without such frames."""
        student, turn = self._student, self._steps % len(self._teachers)
        if target.unlabelled is None:
            return Loss(outputs.confidence_maps.sum() * 0)
        clean = self._teachers[turn].serving(student).maps(target.unlabelled)
        sure = calibrated(clean[0].amax((2, 3)), student.foreground) >= self.threshold
        rng = np.random.default_rng([self.seed, self._steps])
        frames, wanted, inside = distorted(target.unlabelled, clean, rng, *self._distortions[turn])
        maps, fields = student(student.normalise(frames))
        limbs = limbs_of(sure, target.skeleton).repeat_interleave(2, dim=1)
        total = masked_mse(maps, wanted[0], sure, inside)
        total = total + masked_mse(fields.flatten(1, 2), wanted[1].flatten(1, 2), limbs, inside)
        return Loss(total, {"consistency": total.detach()})

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights, and whose turn it is."""
        return {"teachers": [teacher.state_dict() for teacher in self._teachers], "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        self._steps = state["steps"]
        for teacher, kept in zip(self._teachers, state["teachers"], strict=True):
            teacher.load_state_dict(kept)


class DualConsistency(Consistency):
    """Two averages teach, and are moved, in turn: one where the frames' geometry is distorted, one where colours are.

    Arguments are those of :class:`Consistency`; the momentum is that of an average's own steps.
    """

    def turns(self, geometry: float, colour: float) -> list[tuple[float, float]]:
        """Return geometry for the first teacher, colour for the second."""
        return [(geometry, 0.0), (0.0, colour)]


def distorted(
    frames: Tensor, maps: tuple[Tensor, Tensor], rng: np.random.Generator, geometry: float, colour: float
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Scale, shift and recolour frames at random, and move their maps with them.

    Scaling is alike along both axes, so that the vectors of fields keep their directions.

    Args:
        frames: RGB uint8, shape (frames, height, width, 3)
        maps: their confidence maps and fields
        rng: random numbers
        geometry: largest change of scale, and largest shift as a fraction of the frame
        colour: largest change of contrast, and of brightness as a fraction of the range

    Returns:
        The frames; their maps; which cells show a part of the frame, bool, shape (frames, rows, columns).
    """
    device, (confidence, fields) = maps[0].device, maps
    draws = torch.from_numpy(rng.uniform(-1, 1, (5, len(frames)))).to(device, torch.float32)
    zoom, shift = 1 + geometry * draws[0], 2 * geometry * draws[1:3]
    nothing = torch.zeros_like(zoom)
    rows = [torch.stack([zoom, nothing, shift[0]], -1), torch.stack([nothing, zoom, shift[1]], -1)]
    theta = torch.stack(rows, 1)

    def move(planes: Tensor) -> Tensor:
        grid = affine_grid(theta, list(planes.shape), align_corners=False)
        return grid_sample(planes, grid.to(planes), align_corners=False)

    images = frames.to(device).permute(0, 3, 1, 2).float()
    contrast, brightness = (1 + colour * draws[3])[:, None, None, None], (255 * colour * draws[4])[:, None, None, None]
    images = move((images * contrast + brightness).clamp(0, 255)) if geometry else images * contrast + brightness
    seen = images.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    inside = move(torch.ones_like(confidence[:, :1]))[:, 0] > 0.5
    return seen, (move(confidence), move(fields.flatten(1, 2)).unflatten(1, fields.shape[1:3])), inside
