"""OpenPose, with the weights of a user's file, as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pose_oad.poses.skeleton import get_skeleton
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
from pose_oad.teachers.loading import find_device
from pose_oad.teachers.openpose.weights import load_openpose
from pose_oad.tracking.schema import Count, Text

_PRECISIONS = {"32-true": torch.float32, "bf16-true": torch.bfloat16}


class OpenPoseTeacher:
    """One of OpenPose's own networks, with the keys of ``conf/teacher/openpose.yaml``; it sees frames as OpenPose's do.

    With several scales a frame is seen at each of them, and the mean of the maps is decoded.
    """

    uses_truth = False

    def __init__(
        self,
        path: Text,
        network: Literal["auto", "coco-18", "body-25"] = "auto",
        height: Height = 368,
        scales: Annotated[Sequence[Annotated[float, Field(gt=0, le=4)]], Field(min_length=1)] = (1.0,),
        batch_size: Count = 4,
        device: str = "cpu",
        precision: Literal["32-true", "bf16-true"] = "32-true",
        enlarge: Count = 2,
    ) -> None:
        built = load_openpose(Path(path), network)
        self.skeleton = get_skeleton(built.skeleton_name)
        self.name = f"openpose:{self.skeleton.name}"
        self._heights = tuple(max(1, round(height * scale)) for scale in scales)
        self._batch_size, self._enlarge = batch_size, enlarge
        self._fields = field_channels(self.skeleton)
        self._device, self._dtype = find_device(device), _PRECISIONS[precision]
        # The channels of a pixel side by side: as frames come, and as fast convolutions want them.
        self._network = built.to(self._device, self._dtype).to(memory_format=torch.channels_last)

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height of a frame at the largest scale, px; the height is the same for every frame."""
        return size_at_height(frame_size, max(self._heights))

    @torch.no_grad()  # not inference mode: its tensors could not become training targets
    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the people in the network's maps, and the maps themselves."""
        size = self.image_size(request.frame_size)
        return label_frames(self._predict, request, size, self.skeleton, self._batch_size, self._enlarge)

    def _predict(self, images: Tensor) -> list[PaddedMaps]:
        """Run the network at every scale on frames that have the size of the largest."""
        largest = prepare(images.to(self._device))
        size = (images.shape[2], images.shape[1])
        seen = []
        for height in self._heights:
            width, height = size_at_height(size, height)
            picture = largest
            if (width, height) != size:
                picture = F.interpolate(largest, (height, width), mode="bilinear", antialias=True)
            heat_maps, fields = self._network(pad_to_cells(picture, 0.0).to(self._dtype))
            maps = torch.cat([heat_maps[:, : len(self.skeleton)], fields[:, self._fields]], 1).float()
            seen.append(PaddedMaps(maps, (width, height)))
        return seen


def prepare(images: Tensor) -> Tensor:
    """Turn RGB uint8 frames, shape (frames, height, width, 3), into BGR / 256 - 0.5 with the channels first."""
    return order_channels(images, bgr=True).div_(256).sub_(0.5)
