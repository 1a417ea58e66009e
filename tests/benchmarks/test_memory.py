from __future__ import annotations

import numpy as np
import psutil
import pytest

from benchmarks.memory import bench_memory
from callbacks.timing import peak_resident


def test_the_peak_outlives_what_caused_it() -> None:
    resident = psutil.Process().memory_info().rss / 2**20
    block = np.ones(2**24)  # 128 MB
    largest = peak_resident()
    assert largest >= resident + 127
    del block
    assert peak_resident() >= largest - 1  # the kernel counts in batches


@pytest.mark.slow
def test_each_run_has_a_process_of_its_own(configure) -> None:
    held = np.ones(2**28, dtype=np.uint8)  # 256 MB here must not count there
    ratio, quarter, whole = bench_memory(configure())
    assert len(held) == 2**28
    assert (quarter.how, whole.how) == ("27 frames", "108 frames")
    assert ratio.value == whole.value / quarter.value
    assert 100 < whole.value < 3000
