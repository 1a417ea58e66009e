"""What teachers share whose network gives OpenPose's maps: frames to its input, its maps to labels.

Frames are resized to one height, keeping their aspect ratio, and padded on the right and below to whole cells. The maps
are cut back to the frame and enlarged before people are looked for: a cell of 8 px is coarse beside a small person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.maps import decode_people
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Labels, TeacherRequest, stack_people

#: Px of the input per cell of the maps, along both axes.
STRIDE = 8

#: Height to which frames are resized, px.
Height = Annotated[int, Field(ge=STRIDE, multiple_of=STRIDE)]

# Channel with the x component of each limb of a joint set, in the order of its limbs; y is the next one. These are the
# even entries of OpenPose's published POSE_MAP_INDEX.
_FIELD_X = {
    "coco-18": (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26),
    "body-25": (
        0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28, 40, 42, 44, 46, 48, 50,
    ),
}  # fmt: skip


class PaddedMaps(NamedTuple):
    """A network's maps of padded frames."""

    #: shape (frames, joints + 2 · limbs, rows, columns), a cell for ``STRIDE`` px of the padded frame; the confidence
    #: maps of the joints, then x and y component of each limb's field, in the order of the joint set
    maps: Tensor
    size: tuple[int, int]  #: width and height of the frame's picture in the padded frame's top-left corner, px


def field_channels(skeleton: Skeleton) -> list[int]:
    """Return OpenPose's field channels in the order of a joint set's limbs, x then y component."""
    return [channel for x in _FIELD_X[skeleton.name] for channel in (x, x + 1)]


def size_at_height(frame_size: tuple[int, int], height: int) -> tuple[int, int]:
    """Return the width and height of a frame that is resized to a height, px."""
    return max(1, round(frame_size[0] * height / frame_size[1])), height


def order_channels(images: Tensor, *, bgr: bool) -> Tensor:
    """Lay RGB frames, uint8, shape (frames, height, width, 3), out as a network's input, blue first if ``bgr``.

    Returns:
        float32, 0 to 255, shape (frames, 3, height, width), the channels of a pixel side by side in memory.
    """
    return (images.flip(-1) if bgr else images).permute(0, 3, 1, 2).float()


def pad_to_cells(images: Tensor, value: float) -> Tensor:
    """Pad frames, shape (frames, channels, height, width), on the right and below to whole cells."""
    below, right = (-side % STRIDE for side in images.shape[2:])
    return F.pad(images, (0, right, 0, below), value=value) if below or right else images


def label_frames(
    predict: Callable[[Tensor], Sequence[PaddedMaps]],
    request: TeacherRequest,
    size: tuple[int, int],
    skeleton: Skeleton,
    batch_size: int,
    enlarge: int,
) -> Labels:
    """Label frames with the people in a network's maps, and the maps themselves.

    Args:
        predict: RGB uint8 frames, shape (frames, height, width, 3), to their maps at one scale or several, of which the
            mean is taken
        request: what is to be labelled
        size: width and height that the request's images should have, px
        skeleton: joint set of the maps
        batch_size: frames per call
        enlarge: cells in which people are looked for, along each axis, per cell of the network's maps

    Returns:
        People in px of the original frames; maps that cover the frames, a cell for about ``STRIDE`` px of ``size``.
    """
    images = request.images
    if images is None or images.shape[1:] != (size[1], size[0], 3):
        given = None if images is None else images.shape
        raise ValueError(f"images {given}: expected (frames, {size[1]}, {size[0]}, 3)")
    # A decoder's array may be read-only, which a tensor cannot be.
    frames = torch.from_numpy(np.require(images, requirements="W"))
    batches = frames.split(batch_size) if len(frames) else ()
    parts = [_label(predict(batch), request.frame_size, size, skeleton, enlarge) for batch in batches]
    if not parts:
        return Labels(stack_people([], len(skeleton)))
    keypoints, maps, fields = zip(*parts, strict=True)
    people = stack_people([frame for part in keypoints for frame in part], len(skeleton))
    return Labels(people, torch.cat(maps), torch.cat(fields))


def _label(
    scales: Sequence[PaddedMaps], frame_size: tuple[int, int], size: tuple[int, int], skeleton: Skeleton, enlarge: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Label one batch: keypoints in px of the frame, confidence maps, part affinity fields."""
    coarse, fine = (_mean_over_frame(scales, size, cells) for cells in (1, enlarge))
    joints = len(skeleton)
    people = decode_people(fine[:, :joints], fine[:, joints:].unflatten(1, (-1, 2)), skeleton)
    resize = FrameResize.of(frame_size, (fine.shape[3], fine.shape[2]), "squash")
    coarse = coarse.cpu()
    return resize.to_frame(people.keypoints.cpu()), coarse[:, :joints], coarse[:, joints:].unflatten(1, (-1, 2))


def _mean_over_frame(scales: Sequence[PaddedMaps], size: tuple[int, int], enlarge: int) -> Tensor:
    """Resample the maps of each scale to ``enlarge`` cells per ``STRIDE`` px of the frame, and take their mean."""
    columns, rows = (max(3, round(side * enlarge / STRIDE)) for side in size)
    cut = [_cut_to_frame(maps, picture, (columns, rows)) for maps, picture in scales]
    return cut[0] if len(cut) == 1 else torch.stack(cut).mean(0)


def _cut_to_frame(maps: Tensor, size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """Resample maps of padded frames, bicubic, so that they cover the frames exactly.

    Args:
        maps: shape (frames, channels, rows, columns), a cell for ``STRIDE`` px of the padded frame
        size: width and height of the frame in the padded frame's top-left corner, px
        cells: columns and rows wanted; cells may be a little wider than high
    """
    share_x, share_y = (
        side / (number * STRIDE) for side, number in zip(size, (maps.shape[3], maps.shape[2]), strict=True)
    )
    corner = maps.new_tensor([[[share_x, 0, share_x - 1], [0, share_y, share_y - 1]]])
    grid = F.affine_grid(corner, [1, 1, cells[1], cells[0]], align_corners=False).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, grid, mode="bicubic", padding_mode="border", align_corners=False)
