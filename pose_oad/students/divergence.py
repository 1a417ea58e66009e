"""Whether a training has left the finite numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pose_oad.tracking.errors import UserError

if TYPE_CHECKING:  # it takes longer to import than a student to load
    from lightning import LightningModule


def is_sound(network: nn.Module, *figures: Tensor) -> bool:
    """Return True if all weights of a network and all figures are finite; it waits for the device once."""
    weights = [value for value in network.state_dict().values() if value.is_floating_point()]
    largest = torch.nn.utils.get_total_norm(weights, norm_type=torch.inf)
    return bool(torch.stack([largest.isfinite(), *(figure.isfinite().all() for figure in figures)]).all())


def stop_if_diverged(module: LightningModule, network: nn.Module, key: str, rate: float, *figures: Tensor) -> None:
    """End a training whose network or figures are no longer finite; ``key`` and ``rate`` are the learning rate's."""
    if is_sound(network, *figures):
        return
    best = getattr(module.trainer.checkpoint_callback, "best_model_path", "")
    raise UserError(
        f"{key}={rate:g}: training diverged in epoch {module.current_epoch + 1} (loss or weights are not finite); "
        f"expected a smaller rate; {f'the best weights before are in {best}' if best else 'nothing was kept'}"
    )
