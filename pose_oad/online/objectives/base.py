"""The contract of an objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from pose_oad.online.stage import Stage
from pose_oad.poses.maps import KnownCells, MapTargets
from pose_oad.poses.skeleton import Skeleton


class MapOutputs(NamedTuple):
    """What a student predicts.

    Attributes:
        confidence_maps: shape (batch, joints, rows, columns)
        part_affinity_fields: shape (batch, limbs, 2, rows, columns), x then y component
        features: what the head reads, shallowest first, shape (batch, channels, rows, columns) each; empty unless the
            objective reads them
    """

    confidence_maps: Tensor
    part_affinity_fields: Tensor
    features: tuple[Tensor, ...] = ()


class TrainingTarget(NamedTuple):
    """What it is drawn towards.

    Attributes:
        maps: maps of the shapes of :class:`MapOutputs`
        skeleton: joint set of the maps; its limbs say which joints a field connects
        joints: of which joints anything is known, bool, shape (batch, joints)
        limbs: of which limbs anything is known beside that, bool, shape (batch, limbs); None: of all
        cells: where the labels say something; None: everywhere
        weight: how much each frame counts, shape (batch,); None: all alike
        frames: what the student sees, RGB uint8, shape (batch, height, width, 3); None where nobody has them
        origin: 0 of this window, 1 replayed, 2 of the source domain, int8, shape (batch,); None: all of this window
        unlabelled: further frames of the window, as :attr:`frames`; None where none were drawn
    """

    maps: MapTargets
    skeleton: Skeleton
    joints: Tensor
    limbs: Tensor | None = None
    cells: KnownCells | None = None
    weight: Tensor | None = None
    frames: Tensor | None = None
    origin: Tensor | None = None
    unlabelled: Tensor | None = None


@dataclass(frozen=True)
class Loss:
    """How far a student is from its target.

    Attributes:
        total: what is minimised, a scalar
        parts: what it is made of, by name, scalars without a gradient
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Stage):
    """Compare a student's maps with what is to be learnt.

    Attributes:
        foreground: additional weight of a cell in which a joint is, by which decoding reads confidences; 0: none
        auxiliary: whether it leaves it to another one of a sum to say how high a joint's map stands
        reads_features: whether it reads the features of :class:`MapOutputs`
    """

    foreground: float = 0.0
    auxiliary: bool = False
    reads_features: bool = False

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the loss of a batch; zero, with a gradient of zero, where nothing is known."""
        raise NotImplementedError
