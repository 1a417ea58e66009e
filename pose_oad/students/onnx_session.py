"""Opening ONNX files with onnxruntime, and saying in one line why one cannot be opened."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from pose_oad.tracking.errors import UserError

#: What onnxruntime raises; its exceptions share no base class of their own.
ORT_ERRORS = (
    ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.InvalidProtobuf, ort.NoSuchFile, ort.NotImplemented,
    ort.RuntimeException,
)  # fmt: skip


def open_session(path: Path, threads: int | None, what: str) -> onnxruntime.InferenceSession:
    """Open a network on a GPU where onnxruntime has one, else on the CPU.

    Args:
        path: ONNX file
        threads: threads on a CPU; None leaves it to onnxruntime
        what: how messages call the file, as ``teacher.path=teacher.onnx``
    """
    if not path.is_file():
        raise UserError(f"{what}: expected an existing ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # errors only: its warnings are about its own optimisations
    available = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except ORT_ERRORS as error:
        raise UserError(f"{what}: expected an ONNX network; {first_line(error)}") from error


def describe(session: onnxruntime.InferenceSession) -> str:
    """Name a network's inputs and outputs with their declared shapes, in a few words."""
    sides = (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
    return " and ".join(
        f"the {side} " + ", ".join(f"{node.name} {node.shape}" for node in nodes) for side, nodes in sides
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().split("\n", 1)[0]
