"""An ONNX file that has been seen to behave like OpenPose's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pose_oad.students.onnx_session import ORT_ERRORS, describe, first_line, open_session
from pose_oad.teachers.bottom_up import STRIDE
from pose_oad.tracking.errors import RefusedError, require

#: Channels of the two outputs: 18 joints and the background, and two components for each of 19 limbs.
HEAT_MAPS, FIELDS = 19, 38

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
        UserError: if the file is missing or is no ONNX network.
        RefusedError: if it has other inputs or outputs; it names what the file has and what is expected.
    """

    def __init__(
        self, path: Path, heat_maps: str, fields: str, batch_size: int = 1, threads: int | None = None
    ) -> None:
        self._outputs = [heat_maps, fields]
        self._session = open_session(path, threads, f"teacher.path={path}")
        inputs, names = self._session.get_inputs(), {output.name for output in self._session.get_outputs()}
        expected = (
            f"an input [N, 3, H, W] and the outputs {heat_maps} [N, {HEAT_MAPS}, H/{STRIDE}, W/{STRIDE}] and "
            f"{fields} [N, {FIELDS}, H/{STRIDE}, W/{STRIDE}], H and W free; it has {describe(self._session)}"
        )
        known = len(inputs) == 1 and inputs[0].type == "tensor(float)" and names.issuperset(self._outputs)
        require(known, "path", path, expected)
        self._input = inputs[0].name
        try:
            shapes = [output.shape for output in self(np.zeros(_PROBE, dtype=np.float32))]
        except ORT_ERRORS as error:
            refusal = f"{expected}, and refuses an input {list(_PROBE)}: {first_line(error)}"
            raise RefusedError("path", path, refusal) from error
        frames, _, height, width = _PROBE
        wanted = [(frames, channels, height // STRIDE, width // STRIDE) for channels in (HEAT_MAPS, FIELDS)]
        require(shapes == wanted, "path", path, f"{expected}, and gives {shapes} for an input {list(_PROBE)}")
        fixed = inputs[0].shape[0] == 1 and batch_size > 1
        require(not fixed, "batch_size", batch_size, f"1, since {path} takes one frame at a time")

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the network on images, float32, shape (frames, 3, height, width), sides multiples of ``STRIDE``.

        Returns:
            Heat maps and fields, float32, shapes (frames, 19, rows, columns) and (frames, 38, rows, columns).
        """
        return self._session.run(self._outputs, {self._input: images})
