"""A student as NVIDIA's trt_pose keeps its networks: a state dict, and the topology that says what its channels are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

from pose_oad.students import PoseStudent
from pose_oad.students.trt_pose import to_trt_pose, topology, topology_file


def write_trt_pose(student: PoseStudent, path: Path) -> None:
    """Write a student's state dict in trt_pose's format; its topology lies beside it, see :func:`topology_file`.

    Raises:
        UserError: if trt_pose has no such network.
        OSError: if a file cannot be written.
    """
    content = io.BytesIO()  # torch has errors of its own for a file that it cannot write
    torch.save(to_trt_pose(student), content)
    path.write_bytes(content.getbuffer())
    topology_file(path).write_text(json.dumps(topology(student)) + "\n", encoding="utf-8")
