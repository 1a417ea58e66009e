"""One of our own checkpoints as a teacher."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pose_oad.poses.geometry import FrameFit
from pose_oad.poses.maps import decode_people
from pose_oad.poses.maps.resample import turn_fields
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students import load_student
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.loading import find_device
from pose_oad.tracking.schema import Count, Text


class CheckpointTeacher:
    """A network of ours, usually a larger one, that labels frames at its own input size and fit.

    Args:
        path: checkpoint written by pre-training, or at the end of a stream, or trt_pose's weights
        batch_size: frames per forward pass
        device: torch device it runs on

    Raises:
        UserError: if the checkpoint cannot be loaded, or there is no such device.
    """

    uses_truth = False

    def __init__(self, path: Text, batch_size: Count = 32, device: str = "cpu") -> None:
        where = find_device(device)
        self._network = load_student(path).to(where)
        self._batch_size = batch_size
        self.skeleton = self._network.skeleton
        self.name = f"checkpoint:{self._network.config.name}"

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the frame's picture inside the network's input, px."""
        return self._fit(frame_size).content[2:]

    @torch.no_grad()  # not inference mode: its tensors could not become training targets
    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the network's people and maps."""
        network, fit = self._network, self._fit(request.frame_size)
        return label_frames(
            lambda frames: network(network.normalise(frames)), network.skeleton, network.map_size, fit, request,
            self._batch_size, network.config.foreground,
        )  # fmt: skip

    def _fit(self, frame_size: tuple[int, int]) -> FrameFit:
        return FrameFit.of(frame_size, self._network.input_size, self._network.config.fit)


def label_frames(
    predict: Callable[[Tensor], tuple[Tensor, Tensor]],
    skeleton: Skeleton,
    map_size: tuple[int, int],
    fit: FrameFit,
    request: TeacherRequest,
    batch_size: int,
    foreground: float = 0.0,
) -> Labels:
    """Label frames with a student's maps and the people in them.

    Args:
        predict: RGB uint8 frames at the input size, shape (frames, height, width, 3), to confidence maps and part
            affinity fields
        skeleton: joint set of the maps
        map_size: width and height of the maps, cells
        fit: how the original frames lie in the input
        request: what is to be labelled; its images have the size of the fit's content
        batch_size: frames per call
        foreground: additional weight of a joint's cells in the student's training

    Returns:
        People in px of the original frames; the maps without the cells of the padding.

    Raises:
        ValueError: if the request has no images.
    """
    if request.images is None:
        raise ValueError("a network as teacher needs images")
    left, top, width, height = fit.content
    frames = torch.zeros(len(request.images), fit.input_size[1], fit.input_size[0], 3, dtype=torch.uint8)
    frames[:, top : top + height, left : left + width] = torch.from_numpy(request.images)
    outputs = [predict(batch) for batch in frames.split(batch_size)]
    maps, fields = (torch.cat(parts).float().cpu() for parts in zip(*outputs, strict=True))
    keypoints = decode_people(maps, fields, skeleton, foreground=foreground).keypoints
    stride = keypoints.new_tensor([i / c for i, c in zip(fit.input_size, map_size, strict=True)] + [1.0])
    rows, columns = slice(*_cells(top, height, stride[1])), slice(*_cells(left, width, stride[0]))
    to_frame = (1 / fit.scale[0], 1 / fit.scale[1])
    fields = turn_fields(fields[..., rows, columns], to_frame)
    return Labels(fit.to_frame(keypoints * stride), maps[..., rows, columns], fields)


def _cells(start: int, length: int, stride: Tensor) -> tuple[int, int]:
    """Return the map cells that a stretch of the input covers, to the nearest cell."""
    first = round(start / float(stride))
    return first, max(first + 1, round((start + length) / float(stride)))
