"""Whether a training has left the numbers that mean something."""

from __future__ import annotations

import torch
from lightning import LightningModule
from torch import Tensor, nn

from pose_oad.tracking.errors import UserError

# Maps, and what they are trained towards, lie within -1 and 1: a map or a mean squared error this large means nothing.
_LIMIT = 1e6


def is_sound(network: nn.Module, *figures: Tensor) -> bool:
    """Return whether a network can be used: all weights finite, and no figure infinite, NaN or beyond all measure.

    It waits for the device once.

    Args:
        network: the network
        figures: losses or maps, of any shape
    """
    weights = [value for value in network.state_dict().values() if value.is_floating_point()]
    largest = torch.nn.utils.get_total_norm(weights, norm_type=torch.inf)
    # A NaN fails every comparison.
    within = [largest < torch.inf, *((figure.detach().abs().max() < _LIMIT) for figure in figures)]
    return bool(torch.stack(within).all())


def stop_if_diverged(module: LightningModule, network: nn.Module, key: str, rate: float, *figures: Tensor) -> None:
    """End a training by epochs whose network can no longer be used, before its weights are kept.

    Args:
        module: what is trained
        network: the network in it
        key: config key of the learning rate
        rate: its value
        figures: losses or predictions, of any shape

    Raises:
        UserError: if it has diverged.
    """
    if is_sound(network, *figures):
        return
    best = getattr(module.trainer.checkpoint_callback, "best_model_path", "")
    raise UserError(
        f"{key}={rate:g}: training diverged in epoch {module.current_epoch + 1} (loss or weights are not finite); "
        f"expected a smaller rate; {f'the best weights before are in {best}' if best else 'nothing was kept'}"
    )
