from __future__ import annotations

from pose_oad.offline.shuffling import EpochShuffle, order_seed


def order(seed: int, epoch: int) -> tuple[int, ...]:
    sampler = EpochShuffle(range(20), seed)
    sampler.set_epoch(epoch)
    return tuple(sampler)


def test_every_seed_and_epoch_has_an_order_of_its_own() -> None:
    orders = {order(seed, epoch) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9  # seed 0's second epoch is not seed 1's first
    assert all(sorted(found) == list(range(20)) for found in orders)
    assert order(2, 1) == order(2, 1)


def test_the_seed_of_an_order_is_the_same_wherever_python_runs() -> None:
    assert [order_seed(0), order_seed(0, 1), order_seed(1, 0)] == [2968811710, 3964924996, 1835504127]


def test_processes_share_the_items() -> None:
    parts = [list(EpochShuffle(range(20), 1, 4, rank)) for rank in range(4)]
    assert sorted(item for part in parts for item in part) == list(range(20))
    assert [len(part) for part in parts] == [5] * 4
