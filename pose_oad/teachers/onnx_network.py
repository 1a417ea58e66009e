"""An ONNX file that has been seen to behave like OpenPose's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from pose_oad.errors import UserError, check

#: Px of the input per cell of the maps, along both axes.
STRIDE = 8
#: Channels of the two outputs: 18 joints and the background, and two components for each of 19 limbs.
HEAT_MAPS, FIELDS = 19, 38

# onnxruntime's exceptions share no base class of their own.
_ORT_ERRORS = (
    ort.Fail, ort.InvalidArgument, ort.InvalidGraph, ort.InvalidProtobuf, ort.NoSuchFile, ort.NotImplemented,
    ort.RuntimeException,
)  # fmt: skip
_PROBE = (1, 3, 64, 96)  # small, and not square, so that exchanged axes are found out


class OpenPoseNetwork:
    """Run an OpenPose-type network from an ONNX file, on a GPU where onnxruntime has one.

    Declared shapes may be symbolic or missing, so the network is run once on a small black image to see what it is.

    Args:
        path: ONNX file
        heat_maps: name of the output with the joints and the background
        fields: name of the output with the part affinity fields
        batch_size: images that will be given at once, at most
        threads: threads on a CPU; None leaves it to onnxruntime

    Raises:
        UserError: if the file is missing, is no ONNX network, or is one with other inputs or outputs; it names the
            option ``teacher.path``, what the file has and what is expected.
    """

    def __init__(
        self, path: Path, heat_maps: str, fields: str, batch_size: int = 1, threads: int | None = None
    ) -> None:
        self._outputs = [heat_maps, fields]
        self._session = _open(path, threads)
        inputs, names = self._session.get_inputs(), {output.name for output in self._session.get_outputs()}
        expected = (
            f"an input [N, 3, H, W] and the outputs {heat_maps} [N, {HEAT_MAPS}, H/{STRIDE}, W/{STRIDE}] and "
            f"{fields} [N, {FIELDS}, H/{STRIDE}, W/{STRIDE}], H and W free; it has {_describe(self._session)}"
        )
        known = len(inputs) == 1 and inputs[0].type == "tensor(float)" and names.issuperset(self._outputs)
        check(known, "teacher.path", path, expected)
        self._input = inputs[0].name
        try:
            shapes = [output.shape for output in self(np.zeros(_PROBE, dtype=np.float32))]
        except _ORT_ERRORS as error:
            raise UserError(
                f"teacher.path={path}: expected {expected}, and refuses an input {list(_PROBE)}: {_first_line(error)}"
            ) from error
        frames, _, height, width = _PROBE
        wanted = [(frames, channels, height // STRIDE, width // STRIDE) for channels in (HEAT_MAPS, FIELDS)]
        check(shapes == wanted, "teacher.path", path, f"{expected}, and gives {shapes} for an input {list(_PROBE)}")
        fixed = inputs[0].shape[0] == 1 and batch_size > 1
        check(not fixed, "teacher.batch_size", batch_size, f"1, since {path} takes one frame at a time")

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the network.

        Args:
            images: float32, shape (frames, 3, height, width), height and width multiples of ``STRIDE``

        Returns:
            Heat maps and fields, float32, shapes (frames, 19, rows, columns) and (frames, 38, rows, columns).
        """
        return self._session.run(self._outputs, {self._input: images})


def _open(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    check(path.is_file(), "teacher.path", path, "an existing ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    available = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except _ORT_ERRORS as error:
        raise UserError(f"teacher.path={path}: expected an ONNX network; {_first_line(error)}") from error


def _describe(session: onnxruntime.InferenceSession) -> str:
    """Name a network's inputs and outputs with their declared shapes, in a few words."""
    sides = (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
    return " and ".join(
        f"the {side} " + ", ".join(f"{node.name} {node.shape}" for node in nodes) for side, nodes in sides
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
