"""Peak, ring and background of a map, weighed apart (BPKD)."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.objectives.map_loss import limbs_of, masked_mse
from pose_oad.tracking.schema import NotNegative

# Targets, or lengths of a field, from which a cell is in the ring and in the peak.
_RING, _PEAK = 0.1, 0.7


class RegionWeights(Objective):
    """Average the squared error over each region by itself, and add the means up: the background does not drown others.

    The regions are cells whose target is above 0.7 (peak), 0.1 to 0.7 (ring) and below (background); of a field, by the
    length of its vectors.

    Args:
        peak: weight of the peak
        ring: weight of the ring
        background: weight of the background
        foreground: by which confidences are read: how much higher than its share in the labels a peak stands
    """

    def __init__(
        self,
        peak: NotNegative = 1.0,
        ring: NotNegative = 1.0,
        background: NotNegative = 1.0,
        foreground: NotNegative = 0.0,
    ) -> None:
        self.weights, self.foreground = {"peak": peak, "ring": ring, "background": background}, foreground

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the weighted sum of the regions' mean squared errors, over what is known."""
        limbs = limbs_of(target.joints, target.skeleton)
        limbs = limbs if target.limbs is None else limbs & target.limbs
        fields, cells = target.maps.part_affinity_fields, target.cells
        joint_regions = _regions(target.maps.confidence_maps, None if cells is None else cells.joints)
        limb_regions = _regions(torch.linalg.vector_norm(fields, dim=2), None if cells is None else cells.limbs)
        parts = {
            name: weight
            * (
                masked_mse(
                    outputs.confidence_maps,
                    target.maps.confidence_maps,
                    target.joints,
                    cell_mask=joint_regions[name],
                    frame_weight=target.weight,
                )
                + masked_mse(
                    outputs.part_affinity_fields.flatten(1, 2),
                    fields.flatten(1, 2),
                    limbs.repeat_interleave(2, dim=1),
                    cell_mask=limb_regions[name].repeat_interleave(2, dim=1),
                    frame_weight=target.weight,
                )
            )
            for name, weight in self.weights.items()
        }
        return Loss(torch.stack([*parts.values()]).sum(), {name: part.detach() for name, part in parts.items()})


def _regions(height: Tensor, known: Tensor | None) -> dict[str, Tensor]:
    """Mark the known cells of each region, bool, shape (batch, channels, rows, columns)."""
    regions = {"peak": height > _PEAK, "ring": (height >= _RING) & (height <= _PEAK), "background": height < _RING}
    return regions if known is None else {name: region & known for name, region in regions.items()}
