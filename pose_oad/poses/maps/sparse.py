"""The few values of a batch of maps that decoding needs, as NumPy arrays, wherever the maps lie.

Maps are nearly empty: some hundred cells of an image are read. At such sizes a call of torch costs far more than its
work, so all that follows a look through the maps is arithmetic in NumPy, for one image as for a batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: Maps as they are read: an array if they lie in the computer's own memory.
Maps = np.ndarray | Tensor


def readable(maps: Tensor) -> Maps:
    """Return maps in float32 and in one piece, without copying those that are."""
    maps = maps.detach().float().contiguous()
    return maps.numpy() if maps.is_cpu else maps


def cells_above(maps: Maps, threshold: float) -> np.ndarray:
    """Return the places in the flattened maps whose value exceeds a threshold, ascending; NaN does not."""
    if isinstance(maps, np.ndarray):
        return np.flatnonzero(maps > threshold)
    return (maps.flatten() > threshold).nonzero().squeeze(1).cpu().numpy()


def read_cells(maps: Maps, cells: np.ndarray) -> np.ndarray:
    """Return the values at places in the flattened maps, in the shape of ``cells`` (int64)."""
    if isinstance(maps, np.ndarray):
        return maps.take(cells)
    return maps.take(torch.from_numpy(cells).to(maps.device)).cpu().numpy()
