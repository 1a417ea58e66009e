"""The process that times a compiled student: one JSON object as argument, one JSON line as answer.

It runs alone because compiling may have to be given up, see :func:`pose_oad.export.latency.time_compiled`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
import torch._inductor.config

from pose_oad.export.latency import time_calls
from pose_oad.students import StudentConfig, load_student


def answer(request: dict[str, Any]) -> list[tuple[int, float, list[float]]]:
    """Compile a student for each batch size and time it.

    Args:
        request: ``checkpoint``, ``input_size`` (width and height, px), ``batches``, ``repeats``, ``warmup``,
            ``threads``

    Returns:
        For each batch size: the batch size, the seconds of the first call, which compiles, and those of the others.
    """
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
    sys.stdout.write(json.dumps(answer(json.loads(sys.argv[1]))) + "\n")
