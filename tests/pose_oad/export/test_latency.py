from __future__ import annotations

import time
from pathlib import Path

import pytest

from pose_oad.export import latency
from pose_oad.export.latency import Latency, time_calls, time_compiled, time_maps
from pose_oad.poses.skeleton import get_skeleton
from tests.exports import random_frames
from tests.networks import MapNetwork


def test_median_and_95th_percentile_in_milliseconds() -> None:
    row = Latency.of("eager", 1, [i / 1000 for i in range(1, 102)])  # 1 to 101 ms
    assert (row.median_ms, row.p95_ms, row.repeats) == (pytest.approx(51), pytest.approx(96), 101)


def test_calls_that_warm_up_do_not_count() -> None:
    calls = []

    def slow_at_first() -> None:
        calls.append(1)
        time.sleep(0.05 if len(calls) <= 2 else 0)

    assert max(time_calls(slow_at_first, repeats=3, warmup=2)) < 0.05
    assert len(calls) == 5


def test_every_batch_size_sees_so_many_frames() -> None:
    seen = []

    def maps(frames):
        seen.append(len(frames))
        return frames, frames

    rows = time_maps(
        "eager", MapNetwork(maps, get_skeleton("body-12")), random_frames(4), batches=[1, 4], repeats=2, warmup=1
    )
    assert seen == [1] * 3 + [4] * 3
    assert [(row.runner, row.batch, row.repeats) for row in rows] == [("eager", 1, 2), ("eager", 4, 2)]


def test_compiling_is_given_up_in_time(student_checkpoint: Path) -> None:
    start = time.perf_counter()
    rows = time_compiled(student_checkpoint, (64, 64), [1, 8], 1, 0, threads=1, limit_s=0.3)
    assert time.perf_counter() - start < 5
    assert [(row.batch, row.median_ms, row.note) for row in rows] == [
        (batch, None, "not compiled and timed within 0.3 s") for batch in (1, 8)
    ]


@pytest.mark.slow
def test_a_compiler_that_fails_is_a_remark(tmp_path: Path) -> None:
    [row] = time_compiled(tmp_path / "absent.ckpt", (64, 64), [1], 1, 0, threads=1, limit_s=120)
    assert row.median_ms is None
    assert row.note.startswith("torch.compile failed: ")
    assert "absent.ckpt: no such file" in row.note


def test_answers_become_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'some library says hello'\necho '[[1, 12.4, [0.002, 0.002]]]'\n")
    script.chmod(0o755)
    monkeypatch.setattr(latency.sys, "executable", str(script))
    [row] = time_compiled(tmp_path / "a.ckpt", (64, 64), [1], 2, 0, threads=1, limit_s=10)
    assert row == Latency("compiled", 1, pytest.approx(2), pytest.approx(2), 2, "compiled in 12 s")
