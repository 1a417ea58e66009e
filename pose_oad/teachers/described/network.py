"""What a description says of a network's input and outputs, and an ONNX file that fits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pose_oad.poses.geometry import ResizeMode
from pose_oad.students.onnx_session import ORT_ERRORS, describe, first_line, open_session
from pose_oad.tracking.errors import RefusedError, UserError, require
from pose_oad.tracking.schema import Count, Finite, Number, Positive


@dataclass(frozen=True)
class InputSpec:
    """What a network wants to see, as the keys ``input`` of ``conf/teacher/onnx_keypoints.yaml`` say."""

    size: tuple[Count, Count] | None = None
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    resize_mode: ResizeMode = "letterbox"
    border: Annotated[int, Field(ge=0, le=255)] = 0


@dataclass(frozen=True)
class OutputSpec:
    """What a network's numbers mean, as the keys ``output`` of ``conf/teacher/onnx_keypoints.yaml`` say.

    For ``keypoints`` a second output may hold rows with the people's scores. In px, a pixel's centre is its index.
    Without ``score``, people rank by their mean confidence.
    """

    kind: Literal["keypoints", "simcc", "heatmaps"] = "keypoints"
    names: Sequence[str] | None = None
    order: Literal["xyc", "yxc"] = "xyc"
    units: Literal["px", "fraction"] = "px"
    first: Number = 0
    score: Number | None = None
    activation: Literal["none", "sigmoid"] = "none"

    def __post_init__(self) -> None:
        """Refuse another number of outputs than the kind has."""
        counts = {"keypoints": (1, 2), "simcc": (2,), "heatmaps": (1,)}[self.kind]
        named = self.names is None or len(self.names) in counts
        wanted = " or ".join(map(str, counts))
        require(named, "names", self.names, f"{wanted} output names for {self.kind}, or null")


# How onnxruntime calls the types of input that a picture can be given in.
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8,
          "tensor(int32)": np.int32}  # fmt: skip


class DescribedNetwork:
    """Run a network on pictures of its input's ``size`` (width and height, px), on a GPU where onnxruntime has one.

    A file that takes one picture at a time gets one. A file that is not what its description says is refused.
    """

    def __init__(
        self, path: Path, seen: InputSpec, said: OutputSpec, batch_size: int = 1, threads: int | None = None
    ) -> None:
        self._what, self._seen = f"teacher.path={path}", seen
        self._session = open_session(path, threads, self._what)
        inputs, outputs = self._session.get_inputs(), [node.name for node in self._session.get_outputs()]
        shape = inputs[0].shape if inputs else []  # a network of constants alone has none
        fits = len(inputs) == 1 and inputs[0].type in _TYPES and len(shape) == 4
        require(fits, "path", path, f"one image as input; it has {describe(self._session)}")
        self._input, self._type = inputs[0].name, _TYPES[inputs[0].type]
        self.size = self._size(shape)
        self._batch_size = 1 if shape[0] == 1 else batch_size
        self._outputs = list(said.names or outputs[: 2 if said.kind == "simcc" else 1])
        missing = [name for name in self._outputs if name not in outputs]
        require(not missing, "output.names", missing, f"outputs of {path}: {', '.join(outputs)}")

    def _size(self, shape: list[int | str | None]) -> tuple[int, int]:
        """Settle the input's size between file and description."""
        height, width = shape[2:] if self._seen.layout == "nchw" else shape[1:3]
        colours = shape[1] if self._seen.layout == "nchw" else shape[3]
        declared = f"{self._what} declares {shape}"
        planes = colours == 3 or not isinstance(colours, int)
        require(planes, "input.layout", self._seen.layout, f"the other one: {declared}")
        if self._seen.size is None:
            if not isinstance(width, int) or not isinstance(height, int):
                raise RefusedError("input.size", None, f"[width, height] in px, since {declared}")
            return width, height
        wanted = (self._seen.size[0], self._seen.size[1])
        agrees = all(not isinstance(b, int) or a == b for a, b in zip(wanted, (width, height), strict=True))
        require(agrees, "input.size", list(wanted), f"the file's own, or null: {declared}")
        return wanted

    def __call__(self, pictures: np.ndarray) -> list[np.ndarray]:
        """Run the network on RGB uint8 pictures, shape (pictures, height, width, 3): its outputs, float32."""
        parts = [pictures[at : at + self._batch_size] for at in range(0, len(pictures), self._batch_size)]
        try:
            runs = [self._session.run(self._outputs, {self._input: self._prepare(part)}) for part in parts]
        except ORT_ERRORS as error:
            raise UserError(f"{self._what}: cannot be run; {first_line(error)}") from error
        outputs = [np.concatenate(output).astype(np.float32) for output in zip(*runs, strict=True)]
        for name, output in zip(self._outputs, outputs, strict=True):
            if output.ndim < 2 or len(output) != len(pictures):
                what = f"teacher.output.names={name}"
                raise UserError(f"{what}: expected a row for each of {len(pictures)}; it has {list(output.shape)}")
        return outputs

    def _prepare(self, pictures: np.ndarray) -> np.ndarray:
        ordered = pictures[..., ::-1] if self._seen.channels == "bgr" else pictures
        values = (ordered - np.array(self._seen.mean, np.float32)) / np.array(self._seen.std, np.float32)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if self._seen.layout == "nchw" else values, self._type)
