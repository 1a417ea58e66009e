"""An order of training items that depends on a seed and the epoch alone, so that a resumed training sees the same."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
from torch.utils.data.distributed import DistributedSampler


def order_seed(*numbers: int) -> int:
    """Mix whole numbers into the seed of an order; the same numbers give the same seed wherever Python runs."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class EpochShuffle(DistributedSampler[int]):
    """Visit every item once per epoch, in an order of its own for every seed and epoch.

    Lightning calls :meth:`set_epoch` at the start of every epoch, also of the first one after resuming.

    Args:
        data: the items
        seed: seed of the orders
        replicas: processes that share the items
        rank: which of them this is
    """

    def __init__(self, data: Sized, seed: int, replicas: int = 1, rank: int = 0) -> None:
        # torch adds the epoch to its seed: seeds that follow one another would run through the same orders.
        super().__init__(data, replicas, rank, shuffle=True, seed=order_seed(seed))  # type: ignore[arg-type]
