"""Random views of labelled frames, drawn on the student's device for a whole batch at once.

A view is geometry (mirror image, rotation, scale, shift), colour, and boxes in front. People move with the picture. A
joint that leaves it stays where it is, outside: its map is taught to be empty, but for what reaches in. One that the
labels miss stays missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import grid_sample

from pose_oad.offline.shuffling import order_seed
from pose_oad.online.batch import LabelledBatch
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Positive, Share

# Rec. 601 luma; a picture without saturation is its grey.
_LUMA = (0.299, 0.587, 0.114)
_GREY = 127.5  # what contrast turns about


class Augmentation(Protocol):
    """Show frames in other views.

    Attributes:
        views: ``none``; ``window``: one view of each frame of a window, for all its steps; ``step``: one for each step
    """

    @property
    def views(self) -> Literal["none", "window", "step"]:
        """How often views are drawn."""

    def __call__(self, batch: LabelledBatch, generator: torch.Generator) -> LabelledBatch:
        """Return views of frames, and their people.

        Args:
            batch: frames without maps, on any device
            generator: random numbers of the CPU
        """
        ...


class NoAugmentation:
    """Show frames as they are.

    Args:
        skeleton: not used
    """

    views: Literal["none"] = "none"

    def __init__(self, skeleton: Skeleton | None = None) -> None:
        """Take what every augmentation is given."""

    def __call__(self, batch: LabelledBatch, generator: torch.Generator) -> LabelledBatch:
        """Return the frames."""
        return batch


@dataclass(frozen=True)
class RandomViews:
    """Draw random views.

    Attributes:
        skeleton: joint set of the people; says which joints a mirror image exchanges
        views: ``step`` draws a view of each frame in every step, ``window`` one for all steps on a window
        rotation: largest rotation either way, rad
        scale: smallest and largest magnification; as many views enlarge as reduce
        shift: largest shift either way, share of the picture's sides
        mirror: probability of a mirror image
        brightness: largest change of brightness, share
        contrast: largest change of contrast, share
        saturation: largest change of saturation, share
        hue: largest rotation of hue either way, rad
        boxes: largest number of boxes in front of a picture
        box_size: largest side of a box, share of the picture's
    """

    skeleton: Skeleton
    views: Literal["window", "step"] = "step"
    rotation: Annotated[float, Field(ge=0, le=math.pi)] = 0.0
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    shift: Share = 0.0
    mirror: Share = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0, le=math.pi)] = 0.0
    boxes: Annotated[int, Field(ge=0, le=16)] = 0
    box_size: Share = 0.0

    def __post_init__(self) -> None:
        """Refuse an empty range, and mirror images that cannot be labelled.

        Raises:
            UserError: naming the key.
        """
        check(self.scale[0] <= self.scale[1], "augmentation.scale", list(self.scale), "[smallest, largest]")
        known = not self.mirror or self.skeleton.sided
        check(known, "augmentation.mirror", self.mirror, f"0: {self.skeleton.name} has no left_ and right_ pairs")

    def __call__(self, batch: LabelledBatch, generator: torch.Generator) -> LabelledBatch:
        """Draw one view of each frame."""
        with torch.autocast(batch.frames.device.type, enabled=False):  # 16 bits are too few for places
            return self._view(batch, generator)

    def _view(self, batch: LabelledBatch, generator: torch.Generator) -> LabelledBatch:
        frames, number = batch.frames, len(batch)
        height, width = frames.shape[1:3]
        drawn = torch.rand(number, 9 + 8 * self.boxes, generator=generator).to(frames.device)
        either = 2 * drawn - 1
        mirrored = drawn[:, 0] < self.mirror
        forward = self._geometry(either[:, 1:5], mirrored, width, height)
        colours, boxes = drawn.new_zeros(0), drawn[:, 9:].view(number, self.boxes, 8)
        pictures = frames.to(torch.float32)
        if self.brightness or self.contrast or self.saturation or self.hue:
            colours, offset = self._colours(either[:, 5:9])
            pictures = torch.baddbmm(offset, pictures.view(number, -1, 3), colours).view_as(pictures)
        pictures = _warp(pictures.permute(0, 3, 1, 2), forward, width, height)
        seen = self._covered(pictures.permute(0, 2, 3, 1).round_().clamp_(0, 255).to(torch.uint8), boxes)
        keypoints = _moved(batch.keypoints.to(frames.device), forward)
        known = batch.known.to(frames.device)
        if self.mirror:
            sides = torch.tensor(self.skeleton.flip, device=frames.device)
            keypoints = keypoints[:, :, sides].where(mirrored.view(-1, 1, 1, 1), keypoints)
            known = known[:, sides].where(mirrored.view(-1, 1), known)
        return replace(batch, frames=seen, keypoints=keypoints, known=known)

    def _geometry(self, either: Tensor, mirrored: Tensor, width: int, height: int) -> Tensor:
        """Return where px go, shape (frames, 2, 3), of numbers in -1 to 1, shape (frames, 4)."""
        low, high = math.log(self.scale[0]), math.log(self.scale[1])
        size = ((low + high) / 2 + either[:, 1] * (high - low) / 2).exp()
        cosine, sine = ((either[:, 0] * self.rotation).cos() * size, (either[:, 0] * self.rotation).sin() * size)
        side = torch.where(mirrored, -1.0, 1.0)
        linear = torch.stack([cosine * side, -sine, sine * side, cosine], 1).view(-1, 2, 2)
        sides = either.new_tensor([width, height])
        offset = sides / 2 + either[:, 2:4] * self.shift * sides - (linear @ (sides / 2))
        return torch.cat([linear, offset.unsqueeze(-1)], -1)

    def _colours(self, either: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrix and the offset of each frame's colours, of numbers in -1 to 1, shape (frames, 4)."""
        light, contrast, saturation = (
            1 + share * either[:, at].view(-1, 1, 1)
            for at, share in enumerate((self.brightness, self.contrast, self.saturation))
        )
        angle = self.hue * either[:, 3].view(-1, 1, 1)
        third, one = either.new_full((3, 3), 1 / 3), torch.eye(3, device=either.device)
        across = either.new_tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        # Rodrigues: about the axis of greys.
        turned = angle.cos() * (one - third) + angle.sin() * across + third
        grey = either.new_tensor(_LUMA).expand(3, 3)
        matrix = light * contrast * ((saturation * one + (1 - saturation) * grey) @ turned)
        return matrix.transpose(1, 2), _GREY * light * (1 - contrast)

    def _covered(self, pictures: Tensor, boxes: Tensor) -> Tensor:
        """Put boxes of one colour each in front, of numbers in 0 to 1, shape (frames, boxes, 8)."""
        rows, columns = (_centres(side, pictures.device) / 2 + 0.5 for side in pictures.shape[1:3])
        for box in boxes.unbind(1):
            x, y, across, down, there = box[:, :5].unsqueeze(-1).unbind(1)
            beside = (columns - x).abs() < across * self.box_size / 2
            beside &= there < 0.5  # half of them, on average
            inside = beside.unsqueeze(1) & ((rows - y).abs() < down * self.box_size / 2).unsqueeze(2)
            colour = (255 * box[:, 5:]).to(torch.uint8).view(-1, 1, 1, 3)
            pictures = torch.where(inside.unsqueeze(-1), colour, pictures)
        return pictures


def views_generator(seed: int, window: int) -> torch.Generator:
    """Return the random numbers of a window's views."""
    return torch.Generator().manual_seed(order_seed(seed, window, 2))


def _warp(pictures: Tensor, forward: Tensor, width: int, height: int) -> Tensor:
    """Move pictures, shape (frames, 3, height, width), by where px go; black comes in from outside."""
    half = forward.new_tensor([width / 2, height / 2])
    back = torch.linalg.inv(forward[:, :, :2])
    # From px of the view to px of the picture, both from the middle in halves of a side, as grid_sample has it.
    moved = half - forward[:, :, 2]
    start = (torch.einsum("nij,nj->ni", back, moved) - half) / half
    by_x, by_y = (back * half / half.unsqueeze(-1))[:, None, None].unbind(-1)
    rows = _centres(height, pictures.device).view(1, -1, 1, 1) * by_y + start[:, None, None]
    grid = _centres(width, pictures.device).view(1, 1, -1, 1) * by_x + rows
    return grid_sample(pictures, grid, align_corners=False)


def _centres(number: int, device: torch.device) -> Tensor:
    """Return the middles of px along a side, from -1 to 1."""
    return (2 * torch.arange(number, device=device) + 1) / number - 1


def _moved(keypoints: Tensor, forward: Tensor) -> Tensor:
    """Move people, shape (frames, people, joints, 3); what is missing stays zero."""
    places = torch.einsum("nij,npkj->npki", forward[:, :, :2], keypoints[..., :2]) + forward[:, None, None, :, 2]
    return torch.cat([places.where(keypoints[..., 2:] > 0, 0), keypoints[..., 2:]], -1)
