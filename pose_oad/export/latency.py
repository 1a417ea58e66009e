"""How long a network takes for a batch: eager, compiled by torch, exported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pose_oad.students.keypoints import PoseNetwork


@dataclass(frozen=True)
class Latency:
    """Times of one network at one batch size, from frames in memory to maps in memory.

    Attributes:
        runner: ``eager``, ``compiled`` or ``onnxruntime``
        median_ms: half of the calls took no longer than this, ms; None where it was not measured
        p95_ms: 95 % of the calls took no longer than this, ms; None likewise
        note: what belongs to the numbers, or why there are none
    """

    runner: str
    batch: int
    median_ms: float | None
    p95_ms: float | None
    repeats: int
    note: str = ""

    @classmethod
    def of(cls, runner: str, batch: int, seconds: Sequence[float], note: str = "") -> Latency:
        """Summarise the seconds of single calls."""
        median, p95 = (float(np.quantile(seconds, share)) * 1000 for share in (0.5, 0.95))
        return cls(runner, batch, median, p95, len(seconds), note)


def time_calls(call: Callable[[], object], repeats: int, warmup: int) -> list[float]:
    """Return the seconds of single calls, after some that do not count."""
    for _ in range(warmup):
        call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def time_maps(
    runner: str, network: PoseNetwork, frames: Tensor, batches: Sequence[int], repeats: int, warmup: int
) -> list[Latency]:
    """Time a network at some batch sizes, on frames, uint8, shape (at least the largest, height, width, 3)."""
    return [
        Latency.of(runner, batch, time_calls(lambda batch=batch: network.maps(frames[:batch]), repeats, warmup))  # type: ignore[misc]
        for batch in batches
    ]


def time_compiled(
    checkpoint: Path,
    input_size: tuple[int, int],
    batches: Sequence[int],
    repeats: int,
    warmup: int,
    threads: int,
    limit_s: float,
) -> list[Latency]:
    """Time a network compiled by torch for each batch size, in a process of its own that is given up after ``limit_s``.

    Compiling takes a C++ compiler and, for large networks on small machines, minutes; it can only be interrupted from
    outside, and would change how this process runs torch. Where it fails, the reason stands in place of numbers.
    """
    request = {
        "checkpoint": str(checkpoint), "input_size": list(input_size), "batches": list(batches),
        "repeats": repeats, "warmup": warmup, "threads": threads,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "pose_oad.export.latency", json.dumps(request)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the compilers it starts go with it
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        output, complaints = process.communicate(timeout=limit_s)
    except BaseException as reason:  # an interrupt too: nothing may go on compiling
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if not isinstance(reason, subprocess.TimeoutExpired):
            raise
        return _not_measured(batches, f"not compiled and timed within {limit_s:g} s")
    if process.returncode != 0:
        last = (complaints.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        return _not_measured(batches, f"torch.compile failed: {last[:160]}")
    answer = json.loads(output.splitlines()[-1])
    return [
        Latency.of("compiled", batch, seconds, f"compiled in {compile_s:.0f} s") for batch, compile_s, seconds in answer
    ]


def _not_measured(batches: Sequence[int], reason: str) -> list[Latency]:
    return [Latency("compiled", batch, None, None, 0, reason) for batch in batches]


def _compile_and_time(request: dict[str, Any]) -> list[tuple[int, float, list[float]]]:
    """Compile a student for each batch size; return it, the seconds of the call that compiles, and of the others."""
    import torch._inductor.config

    from pose_oad.students import StudentConfig, load_student

    torch.set_num_threads(request["threads"])
    torch._inductor.config.compile_threads = 1  # it is torch's own pool otherwise, as large as the machine
    config = load_student(request["checkpoint"]).config.to_dict() | {"input_size": request["input_size"]}
    student = load_student(request["checkpoint"], StudentConfig.from_dict(config))
    student.compile(dynamic=False)
    width, height = request["input_size"]
    rows = []
    for batch in request["batches"]:
        frames = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8)
        start = time.perf_counter()
        student.maps(frames)
        compile_s = time.perf_counter() - start
        seconds = time_calls(lambda frames=frames: student.maps(frames), request["repeats"], request["warmup"])  # type: ignore[misc]
        rows.append((batch, compile_s, seconds))
    return rows


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_compile_and_time(json.loads(sys.argv[1]))) + "\n")
