"""What exporting changes in the maps on real frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pose_oad.students.keypoints import PoseNetwork
from pose_oad.tracking.errors import UserError


@dataclass(frozen=True)
class Parity:
    """How far two networks' maps are apart on the same frames.

    Attributes:
        frames: how many frames they were compared on
        confidence_maps: largest absolute difference of confidence maps, in the maps' own unit (a joint's peak is 1)
        part_affinity_fields: likewise of part affinity fields
    """

    frames: int
    confidence_maps: float
    part_affinity_fields: float

    @property
    def largest(self) -> float:
        """The larger of the two differences; NaN if either is."""
        return float(torch.tensor([self.confidence_maps, self.part_affinity_fields]).max())

    def check(self, tolerance: float) -> Parity:
        """Return it, unless a map differs by more than ``tolerance``, in the maps' own unit, or is no number.

        Raises:
            UserError: if one does.
        """
        if not self.largest <= tolerance:  # a NaN is not either
            raise UserError(
                f"parity.tolerance={tolerance:g}: the written maps differ from the original's by {self.largest:.1e} on "
                f"{self.frames} frames; nothing has been written"
            )
        return self

    def phrase(self, frames_from: str) -> str:
        """Say it in a line; ``frames_from`` names where the frames come from."""
        return (
            f"{self.confidence_maps:.1e} (confidence maps), {self.part_affinity_fields:.1e} (fields) on "
            f"{self.frames} frames of {frames_from}"
        )


def compare_maps(first: PoseNetwork, second: PoseNetwork, frames: Tensor, batch_size: int) -> Parity:
    """Compare two networks' maps.

    Args:
        first: one network
        second: the other
        frames: what both see, uint8, shape (frames, height, width, 3), at least one
        batch_size: frames per call

    Returns:
        The largest differences; NaN where a map holds one.
    """
    differences = []
    for batch in frames.split(batch_size):
        pairs = zip(first.maps(batch), second.maps(batch), strict=True)
        differences.append(torch.stack([(one - other).abs().max() for one, other in pairs]))
    maps, fields = torch.stack(differences).amax(0).tolist()
    return Parity(len(frames), maps, fields)
