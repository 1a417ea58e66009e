from __future__ import annotations

import threading

import pytest

from datamodules.video.buffer import LatestBuffer


def take_all(buffer: LatestBuffer[int]) -> list[tuple[int, int] | None]:
    taken = []
    while (item := buffer.take(1.0)) is not None:
        taken.append(item)
    return taken


def test_the_oldest_make_room_and_are_counted_where_they_are_missing() -> None:
    buffer = LatestBuffer[int](3)
    for item in range(5):
        buffer.put(item)
    assert buffer.take() == (2, 2)
    for item in (5, 6):
        buffer.put(item)
    buffer.close()
    buffer.put(7)
    assert take_all(buffer) == [(4, 1), (5, 0), (6, 0)]
    assert buffer.dropped == 3


def test_groups_are_dropped_whole_so_that_remainders_stay() -> None:
    buffer = LatestBuffer[int](7, group=3)
    for item in range(20):
        buffer.put(item)
    buffer.close()
    taken = take_all(buffer)
    assert taken[0] == (15, 15)
    assert [place % 3 for place in range(len(taken))] == [item % 3 for item, _ in taken]  # type: ignore[misc]
    assert buffer.dropped + len(taken) == 20


def test_a_group_fits_into_any_buffer() -> None:
    assert LatestBuffer[int](2, group=5).capacity == 5


def test_an_error_comes_behind_what_was_kept() -> None:
    buffer = LatestBuffer[int](3)
    buffer.put(1)
    buffer.close(ValueError("broken"))
    buffer.close()
    assert buffer.take() == (1, 0)
    with pytest.raises(ValueError, match="broken"):
        buffer.take()


def test_nobody_waits_for_ever() -> None:
    with pytest.raises(TimeoutError):
        LatestBuffer[int](3).take(0.01)


def test_whoever_waits_is_woken() -> None:
    buffer = LatestBuffer[int](3)
    threading.Timer(0.05, buffer.put, [8]).start()
    assert buffer.take(5.0) == (8, 0)
    threading.Timer(0.05, buffer.close).start()
    assert buffer.take(5.0) is None
