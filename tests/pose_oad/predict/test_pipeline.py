from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pose_oad.predict import pipeline


def test_every_batch_is_worked_on_and_written_in_order_by_three_threads() -> None:
    threads: dict[str, set[int]] = {"read": set(), "work": set(), "write": set()}
    written: list[int] = []

    def read() -> Iterator[int]:
        for number in range(5):
            threads["read"].add(threading.get_ident())
            yield number

    def work(number: int) -> int:
        threads["work"].add(threading.get_ident())
        return number * 10

    def write(value: int) -> None:
        threads["write"].add(threading.get_ident())
        written.append(value)

    pipeline.run(read(), work, write)
    assert written == [0, 10, 20, 30, 40]
    assert threads["work"] == {threading.get_ident()}
    assert len(threads["read"] | threads["work"] | threads["write"]) == 3


def test_no_more_than_one_batch_is_read_ahead() -> None:
    read: list[int] = []

    def batches() -> Iterator[int]:
        for number in range(20):
            read.append(number)
            yield number

    ahead: list[int] = []
    pipeline.run(batches(), lambda number: number, lambda number: ahead.append(len(read) - number))
    assert max(ahead) <= 4  # itself, the one worked on, the one ready and the one being read


@pytest.mark.parametrize("stage", ["read", "work", "write"])
def test_an_error_of_any_stage_ends_it_and_is_raised(stage: str) -> None:
    done: list[int] = []

    def fail(at: str, number: int) -> int:
        if at == stage and number == 2:
            raise ValueError(at)
        return number

    def write(number: int) -> None:
        done.append(fail("write", number))

    with pytest.raises(ValueError, match=stage):
        pipeline.run((fail("read", n) for n in range(100)), lambda n: fail("work", n), write)
    assert done in ([0], [0, 1])


@pytest.mark.parametrize("stoppable", [True, False])
def test_an_interrupt_ends_a_camera_but_gives_up_a_file(stoppable: bool) -> None:
    written: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise KeyboardInterrupt
        return number

    if stoppable:
        pipeline.run(iter(range(10)), work, written.append, stoppable=True)
    else:
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(iter(range(10)), work, written.append)
    assert written == [0, 1, 2]
