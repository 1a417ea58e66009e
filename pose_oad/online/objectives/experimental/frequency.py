"""The shape of a map without its mean (ScaleKD): spectra compared with the constant part removed."""

from __future__ import annotations

from torch import Tensor

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.objectives.map_loss import masked_mse


class FrequencyLoss(Objective):
    """Average the squared difference of the confidence maps' spectra, their constant part removed.

    By Parseval's theorem that is the mean squared error of maps less the mean of each, which is how it is computed. It
    holds for whole maps: cells that are not known are not left out, joints are.
    """

    auxiliary = True

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the loss of the known joints."""
        maps = _centred(outputs.confidence_maps), _centred(target.maps.confidence_maps)
        total = masked_mse(*maps, target.joints, frame_weight=target.weight)
        return Loss(total, {"frequency": total.detach()})


def _centred(maps: Tensor) -> Tensor:
    return maps - maps.mean((2, 3), keepdim=True)
