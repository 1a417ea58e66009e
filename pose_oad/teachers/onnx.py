"""An OpenPose-type network in an ONNX file as a teacher, or a student that this project exported."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students.exported import ExportedStudent, is_exported
from pose_oad.students.onnx_session import ORT_ERRORS, describe, first_line, open_session
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.bottom_up import (
    STRIDE,
    Height,
    PaddedMaps,
    field_channels,
    label_frames,
    order_channels,
    pad_to_cells,
    size_at_height,
)
from pose_oad.teachers.student import NetworkTeacher
from pose_oad.tracking.errors import RefusedError, require
from pose_oad.tracking.schema import Count, Finite, Positive, Text

_FIELD_CHANNELS = field_channels(get_skeleton("coco-18"))
_PADDING = 128  # the grey that OpenPose pads frames with: zero once its networks have normalised it


class OnnxTeacher:
    """OpenPose's own network, or one trained like it, exported to ONNX, with the keys of ``conf/teacher/onnx.yaml``.

    Frames are resized to one height, keeping their aspect ratio; :mod:`pose_oad.teachers.bottom_up` says how they are
    shown to the network, and what becomes of its maps. A file that this project exported is recognised by its metadata
    and labels as :class:`NetworkTeacher` does.
    """

    uses_truth = False

    def __init__(
        self,
        path: Text,
        height: Height = 368,
        batch_size: Count = 8,
        threads: Count | None = None,
        heat_maps: str = "heatmaps19",
        fields: str = "pafs38",
        channels: Literal["bgr", "rgb"] = "bgr",
        mean: Finite = 0.0,
        scale: Positive = 1.0,
        enlarge: Count = 2,
    ) -> None:
        file = Path(path)
        self.name = f"onnx:{file.stem}"
        self._exported: NetworkTeacher | None = None
        if is_exported(file):
            self._exported = NetworkTeacher(ExportedStudent(path, threads), batch_size, self.name)
            self.skeleton = self._exported.skeleton
            return
        self.skeleton = get_skeleton("coco-18")
        self._height, self._batch_size, self._enlarge = height, batch_size, enlarge
        self._bgr, self._mean, self._scale = channels == "bgr", mean, scale
        self._network = OpenPoseNetwork(file, heat_maps, fields, batch_size, threads)

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height to which a frame is resized, px; the height is the same for every frame."""
        if self._exported is not None:
            return self._exported.image_size(frame_size)
        return size_at_height(frame_size, self._height)

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the people in the network's maps, and the maps themselves."""
        if self._exported is not None:
            return self._exported.label(request)
        size = self.image_size(request.frame_size)
        return label_frames(self._predict, request, size, self.skeleton, self._batch_size, self._enlarge)

    def _predict(self, images: Tensor) -> list[PaddedMaps]:
        """Run the network on frames, shape (frames, height, width, 3)."""
        values = order_channels(images, bgr=self._bgr).sub_(self._mean).div_(self._scale)
        padded = pad_to_cells(values, (_PADDING - self._mean) / self._scale)
        heat_maps, fields = (torch.from_numpy(output) for output in self._network(padded.contiguous().numpy()))
        maps = torch.cat([heat_maps[:, : len(self.skeleton)], fields[:, _FIELD_CHANNELS]], 1)
        return [PaddedMaps(maps, (images.shape[2], images.shape[1]))]


#: Channels of the two outputs: 18 joints and the background, and two components for each of 19 limbs.
HEAT_MAPS, FIELDS = 19, 38

_PROBE = (1, 3, 64, 96)  # small, and not square, so that exchanged axes are found out


class OpenPoseNetwork:
    """Run an OpenPose-type network from an ONNX file, on a GPU where onnxruntime has one.

    Declared shapes may be symbolic or missing, so the network is run once on a small black image to see what it is. A
    file with other inputs or outputs is refused with what it has and what is expected.
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
