"""The order of a map's cells (PLD): the likelihood of the labels' ranking under the student's scores."""

from __future__ import annotations

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.tracking.schema import Count, Positive

# A joint whose map is nowhere higher is not in the frame: its cells have no order.
_PRESENT = 0.1


class RankedCells(Objective):
    """Average, over the known joints that are there, the negative log-likelihood of the labels' highest cells in order.

    The ranking is Plackett and Luce's: each cell is drawn by softmax(h / tau) among those not drawn yet.

    Args:
        cells: so many of the highest are ranked, all others come behind them in no order
        tau: sharpness of the scores
    """

    auxiliary = True

    def __init__(self, cells: Count = 9, tau: Positive = 0.1) -> None:
        self.cells, self.tau = cells, tau

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean, per ranked cell."""
        labels = target.maps.confidence_maps.flatten(2)
        order = labels.sort(dim=-1, descending=True, stable=True).indices
        scores = (outputs.confidence_maps.flatten(2) / self.tau).gather(2, order)
        left = scores.flip(-1).logcumsumexp(-1).flip(-1)  # of each cell and all behind it
        unlikely = (left - scores)[..., : self.cells].mean(-1)
        counted = (target.joints & (labels.amax(-1) > _PRESENT)).to(unlikely.dtype)
        if target.weight is not None:
            counted = counted * target.weight.unsqueeze(1)
        total = (unlikely * counted).sum() / counted.sum().clamp(min=1)
        return Loss(total, {"ranking": total.detach()})
