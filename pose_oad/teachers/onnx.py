"""An OpenPose-type network in an ONNX file as a teacher, or a student that this project exported."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students.exported import ExportedStudent
from pose_oad.students.onnx_metadata import is_exported
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.bottom_up import (
    Height,
    PaddedMaps,
    field_channels,
    label_frames,
    order_channels,
    pad_to_cells,
    size_at_height,
)
from pose_oad.teachers.onnx_network import OpenPoseNetwork
from pose_oad.teachers.student import NetworkTeacher
from pose_oad.tracking.schema import Count, Finite, Positive, Text

_FIELD_CHANNELS = field_channels(get_skeleton("coco-18"))
_PADDING = 128  # the grey that OpenPose pads frames with: zero once its networks have normalised it


class OnnxTeacher:
    """OpenPose's own network, or one trained like it, exported to ONNX.

    Frames are resized to one height, keeping their aspect ratio; :mod:`pose_oad.teachers.bottom_up` says how they are
    shown to the network, and what becomes of its maps.

    A file that this project exported is recognised by its metadata and labels as :class:`NetworkTeacher` does; of the
    options, ``batch_size`` and ``threads`` hold for it.

    Args:
        path: ONNX file that this project exported, or one with an image input [N, 3, H, W], H and W free, and
            the two outputs named below at an eighth of it
        height: height to which frames are resized, px, a multiple of 8
        batch_size: frames per run of the network
        threads: threads of the network on a CPU; None leaves it to onnxruntime
        heat_maps: name of the output with OpenPose's 18 joints and the background
        fields: name of the output with OpenPose's 38 part affinity field channels
        channels: order of the input's colour channels, ``bgr`` or ``rgb``
        mean: what is subtracted from values of 0 to 255
        scale: what they are divided by afterwards
        enlarge: cells in which people are looked for, along each axis, per cell of the network's maps

    Raises:
        UserError: if the file is missing, is no ONNX network, or has other inputs or outputs.
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
