"""The contract of an objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from torch import Tensor

from pose_oad.poses.maps import KnownCells, MapTargets
from pose_oad.poses.skeleton import Skeleton


class MapOutputs(NamedTuple):
    """What a student predicts.

    Attributes:
        confidence_maps: shape (batch, joints, rows, columns)
        part_affinity_fields: shape (batch, limbs, 2, rows, columns), x then y component
    """

    confidence_maps: Tensor
    part_affinity_fields: Tensor


class TrainingTarget(NamedTuple):
    """What it is drawn towards.

    Attributes:
        maps: maps of the shapes of :class:`MapOutputs`
        skeleton: joint set of the maps; its limbs say which joints a field connects
        joints: of which joints anything is known, bool, shape (batch, joints)
        limbs: of which limbs anything is known beside that, bool, shape (batch, limbs); None: of all
        cells: where the labels say something; None: everywhere
        weight: how much each frame counts, shape (batch,); None: all alike
    """

    maps: MapTargets
    skeleton: Skeleton
    joints: Tensor
    limbs: Tensor | None = None
    cells: KnownCells | None = None
    weight: Tensor | None = None


@dataclass(frozen=True)
class Loss:
    """How far a student is from its target.

    Attributes:
        total: what is minimised, a scalar
        parts: what it is made of, by name, scalars without a gradient
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """Compare a student's maps with what is to be learnt.

    Attributes:
        foreground: additional weight of a cell in which a joint is, by which decoding reads confidences; 0: none
    """

    foreground: float

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the loss of a batch; zero, with a gradient of zero, where nothing is known."""
        ...
