"""An OpenPose-type network in an ONNX file as a teacher, or a student that this project exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pose_oad.errors import check
from pose_oad.exporting.metadata import is_exported
from pose_oad.geometry import FrameFit
from pose_oad.maps import decode_people
from pose_oad.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.exported import ExportedTeacher
from pose_oad.teachers.onnx_network import STRIDE, OpenPoseNetwork

# Channel with the x component of each limb of the joint set "coco-18", in the order of its limbs; y is the next one.
_FIELD_X = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
_FIELD_CHANNELS = [channel for x in _FIELD_X for channel in (x, x + 1)]
_PADDING = 128  # the grey that OpenPose pads frames with: zero once its networks have normalised it


class OnnxTeacher:
    """OpenPose's own network, or one trained like it, exported to ONNX.

    Frames are resized to one height, keeping their aspect ratio, and padded on the right and below to whole cells. The
    maps are cut back to the frame and enlarged before people are looked for: a cell of 8 px is coarse beside a small
    person.

    A file that this project exported is recognised by its metadata and labels as :class:`ExportedTeacher` does; of the
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
        UserError: if an option is out of range, or the file is missing, is no ONNX network, or has other inputs or
            outputs.
    """

    uses_truth = False

    def __init__(
        self,
        path: str | None,
        height: int = 368,
        batch_size: int = 8,
        threads: int | None = None,
        heat_maps: str = "heatmaps19",
        fields: str = "pafs38",
        channels: str = "bgr",
        mean: float = 0.0,
        scale: float = 1.0,
        enlarge: int = 2,
    ) -> None:
        check(bool(path), "teacher.path", path, "an ONNX file, as teacher.path=teacher.onnx")
        check(_whole(height) and height % STRIDE == 0, "teacher.height", height, f"a multiple of {STRIDE}, px")
        check(_whole(batch_size), "teacher.batch_size", batch_size, "1 or more")
        check(threads is None or _whole(threads), "teacher.threads", threads, "1 or more, or null")
        check(channels in ("bgr", "rgb"), "teacher.channels", channels, "bgr or rgb")
        check(scale > 0, "teacher.scale", scale, "more than 0")
        check(_whole(enlarge), "teacher.enlarge", enlarge, "1 or more")
        self._exported = ExportedTeacher(Path(str(path)), batch_size, threads) if is_exported(Path(str(path))) else None
        if self._exported is not None:
            self.name, self.skeleton = self._exported.name, self._exported.skeleton
            return
        self.name = f"onnx:{Path(str(path)).stem}"
        self.skeleton = get_skeleton("coco-18")
        self._height, self._batch_size, self._enlarge = height, batch_size, enlarge
        self._bgr, self._mean, self._scale = channels == "bgr", mean, scale
        self._network = OpenPoseNetwork(Path(str(path)), heat_maps, fields, batch_size, threads)

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height to which a frame is resized, px; the height is the same for every frame."""
        if self._exported is not None:
            return self._exported.image_size(frame_size)
        width, height = frame_size
        return max(1, round(width * self._height / height)), self._height

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the people in the network's maps, and the maps themselves.

        Raises:
            ValueError: if the request has no images, or images of another size than :meth:`image_size`.
        """
        if self._exported is not None:
            return self._exported.label(request)
        width, height = self.image_size(request.frame_size)
        images = request.images
        if images is None or images.shape[1:] != (height, width, 3):
            given = None if images is None else images.shape
            raise ValueError(f"images {given}: expected (frames, {height}, {width}, 3)")
        starts = range(0, len(images), self._batch_size)
        parts = [self._label(images[start : start + self._batch_size], request.frame_size) for start in starts]
        if not parts:
            return Labels(torch.zeros(0, 0, len(self.skeleton), 3))
        keypoints, maps, fields = zip(*parts, strict=True)
        people = max(part.shape[1] for part in keypoints)
        padded = [F.pad(part, (0, 0, 0, 0, 0, people - part.shape[1])) for part in keypoints]
        return Labels(torch.cat(padded), torch.cat(maps), torch.cat(fields))

    def _label(self, images: np.ndarray, frame_size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Label one batch: keypoints in px of the frame, confidence maps, part affinity fields."""
        heat_maps, fields = (torch.from_numpy(output) for output in self._network(self._prepare(images)))
        joints = len(self.skeleton)
        maps = torch.cat([heat_maps[:, :joints], fields[:, _FIELD_CHANNELS]], 1)
        size = (images.shape[2], images.shape[1])
        coarse, fine = (_cut_to_frame(maps, size, cells) for cells in (1, self._enlarge))
        people = decode_people(fine[:, :joints], fine[:, joints:].unflatten(1, (-1, 2)), self.skeleton)
        fit = FrameFit.of(frame_size, (fine.shape[3], fine.shape[2]), "squash")
        return fit.to_frame(people.keypoints), coarse[:, :joints], coarse[:, joints:].unflatten(1, (-1, 2))

    def _prepare(self, images: np.ndarray) -> np.ndarray:
        """Pad RGB frames, shape (frames, height, width, 3), to whole cells and lay them out as the network's input."""
        below, right = (-side % STRIDE for side in images.shape[1:3])
        padded = np.pad(images, ((0, 0), (0, below), (0, right), (0, 0)), constant_values=_PADDING)
        ordered = padded[..., ::-1] if self._bgr else padded
        values = ordered.transpose(0, 3, 1, 2).astype(np.float32, order="C")
        values -= self._mean
        values /= self._scale
        return values


def _whole(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def _cut_to_frame(maps: Tensor, size: tuple[int, int], enlarge: int) -> Tensor:
    """Resample maps of padded frames so that they cover the frames exactly.

    Args:
        maps: shape (frames, channels, rows, columns), a cell for ``STRIDE`` px of the padded frame
        size: width and height of the frame in the padded frame's top-left corner, px
        enlarge: cells wanted per cell, along each axis

    Returns:
        Bicubic samples. The number of cells is rounded, so cells may be a little wider than high.
    """
    columns, rows = (max(3, round(side * enlarge / STRIDE)) for side in size)
    share_x, share_y = (
        side / (cells * STRIDE) for side, cells in zip(size, (maps.shape[3], maps.shape[2]), strict=True)
    )
    corner = torch.tensor([[[share_x, 0, share_x - 1], [0, share_y, share_y - 1]]])
    grid = F.affine_grid(corner, [1, 1, rows, columns], align_corners=False).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, grid, mode="bicubic", padding_mode="border", align_corners=False)
