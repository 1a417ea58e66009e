"""Doing the same to many things in several processes that leave nobody behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Called with the number of finished items and the number of all.
Progress = Callable[[int, int], None]


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, progress: Progress
) -> list[Result]:
    """Do something to every item, in so many worker processes (0: in this one); results in the order of the items.

    An interrupt ends the other processes at once; so does the death of this one. ``work`` is a function that other
    processes can import.

    Raises:
        RuntimeError: if a process was killed.
    """
    progress(0, len(items))
    results: list[Any] = [None] * len(items)
    if workers == 0 or len(items) < 2:
        for index, item in enumerate(items):
            results[index] = work(item)
            progress(index + 1, len(items))
        return results
    # Fresh processes: a fork would copy the threads' locks of libraries that this process may have loaded.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), context, _begin) as pool:
        futures: dict[Future[Result], int] = {pool.submit(work, item): index for index, item in enumerate(items)}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                results[futures[future]] = future.result()
                progress(done, len(items))
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            if isinstance(error, BrokenProcessPool):
                raise RuntimeError(
                    "a worker process was killed, perhaps for want of memory: use fewer workers"
                ) from error
            raise
    return results


def _begin() -> None:
    cv2.setNumThreads(1)  # the processes share the cores already
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from each of them
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
