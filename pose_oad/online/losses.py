"""What a student is trained by: its outputs beside what they are drawn towards, and the loss of both."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pose_oad.online.batch import LabelledBatch
from pose_oad.online.objectives import MapOutputs, Objective, TrainingTarget
from pose_oad.online.options import TrainingOptions
from pose_oad.poses.maps import MapTargets, known_cells
from pose_oad.students import PoseStudent
from pose_oad.students.modes import evaluating


class Losses:
    """Take an objective's loss of labelled frames.

    Args:
        student: the network that trains
        objective: what its maps are drawn towards
        options: how the student trains
    """

    def __init__(self, student: PoseStudent, objective: Objective, options: TrainingOptions) -> None:
        self.student, self.objective, self.options = student, objective, options

    def of_batch(self, batch: LabelledBatch) -> Tensor:
        """Return the loss of a batch, a scalar with a gradient, batch statistics frozen."""
        with evaluating(self.student):
            return self.objective(self.outputs(batch.frames), self.target(batch)).total

    @torch.no_grad()
    def of_frames(self, batch: LabelledBatch, network: PoseStudent | None = None) -> Tensor:
        """Return the loss of each frame, batch statistics frozen, shape (frames,).

        Args:
            batch: the frames
            network: of whose maps; None: the student's
        """
        network = self.student if network is None else network
        found = []
        with evaluating(network):
            for rows in torch.arange(len(batch)).split(32):
                part = batch.take(rows)
                found.append(self.each(self.outputs(part.frames, network), self.target(part)))
        return torch.cat(found)

    @torch.no_grad()
    def each(self, outputs: MapOutputs, target: TrainingTarget) -> Tensor:
        """Return the loss of each frame of a batch that has been predicted, shape (frames,)."""
        alone = ((_one(outputs, at), _one(target, at)) for at in range(len(outputs[0])))
        return torch.stack([self.objective(*pair).total for pair in alone])

    def outputs(self, frames: Tensor, network: PoseStudent | None = None) -> MapOutputs:
        """Return what the student, or another network of its kind, predicts, with what the objective reads."""
        network = self.student if network is None else network
        images = network.normalise(frames)
        if not self.objective.reads_features:
            return MapOutputs(*network(images))
        features = tuple(network.backbone(images))
        maps, fields = network.head(features)
        return MapOutputs(maps, fields, features)

    def target(self, batch: LabelledBatch) -> TrainingTarget:
        """Return what a batch's maps are drawn towards, on the student's device."""
        student, own_maps = self.student, self.options.labels == "maps"
        device = student.scale.device
        keypoints, weight = batch.keypoints.to(device), batch.weight
        maps = MapTargets(*(part.to(device) for part in batch.maps)) if batch.maps else student.targets(keypoints)
        # In the teacher's own maps is what it misses.
        masked = self.options.undetected_joints == "mask" and not own_maps
        cells = known_cells(keypoints, maps, student.skeleton, student.input_size) if masked else None
        limbs = batch.known_limbs.to(device)
        weight = None if weight is None else weight.to(device)
        known = batch.known.to(device)
        return TrainingTarget(maps, student.skeleton, known, limbs, cells, weight, batch.frames, batch.origin)


def _one(value: Any, at: int) -> Any:
    """Return one frame of a batch's tensors, however they are put together."""
    if isinstance(value, Tensor):
        return value[at : at + 1]
    if isinstance(value, tuple):
        parts = (_one(part, at) for part in value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
