"""The paper's objective: squared error on confidence maps plus squared error on part affinity fields."""

from __future__ import annotations

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.objectives.map_loss import map_loss


class MapRegression(Objective):
    """Regress maps, see :func:`~pose_oad.online.objectives.map_loss.map_loss`.

    Args:
        foreground: additional weight of map cells where something is; 0 is the paper's

    Raises:
        ValueError: if the weight is negative.
    """

    def __init__(self, foreground: float = 0.0) -> None:
        if foreground < 0:
            raise ValueError(f"foreground={foreground}: expected 0 or more")
        self.foreground = float(foreground)

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean squared error over what is known."""
        total = map_loss(
            *outputs[:2],
            target.maps,
            target.skeleton,
            target.joints,
            limb_mask=target.limbs,
            cells=target.cells,
            foreground=self.foreground,
            weight=target.weight,
        )
        return Loss(total, {"maps": total.detach()})
