"""Heads: backbone features in, confidence maps and part affinity fields at stride 4 out.

A head declares which strides of the backbone it reads (:meth:`reads`) and is built with their channel counts. Its
output is the pair (confidence maps, shape (batch, joints, rows, columns); part affinity fields, shape (batch, limbs, 2,
rows, columns), x then y component), without a final activation. ``outputs`` names the layers that compute them: their
channels, one layer after the other, are the joints, then x and y of every limb.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pose_oad.poses.skeleton import Skeleton
from pose_oad.students.config import STRIDE
from pose_oad.tracking.errors import UserError


class AttentionHead(nn.Module):
    """The head of NVIDIA's trt_pose: deconvolutions from the deepest features, gated by an attention map.

    Each of the two branches doubles the resolution until stride 4, multiplies by a 3×3 attention convolution of the
    result (sigmoid for the confidence maps, tanh for the signed fields) and projects to its channels. The attribute
    names are those of trt_pose's state dict, so that its published weights can be mapped by name.
    """

    outputs = ("cmap_conv", "paf_conv")

    def __init__(self, strides: Sequence[int], channels: Sequence[int], width: int, skeleton: Skeleton) -> None:
        super().__init__()
        doublings = (strides[-1] // STRIDE).bit_length() - 1
        self.cmap_up = _upsampling(channels[-1], width, doublings)
        self.paf_up = _upsampling(channels[-1], width, doublings)
        self.cmap_att = nn.Conv2d(width, width, 3, padding=1)
        self.paf_att = nn.Conv2d(width, width, 3, padding=1)
        self.cmap_conv = nn.Conv2d(width, len(skeleton), 1)
        self.paf_conv = nn.Conv2d(width, 2 * len(skeleton.limbs), 1)

    @staticmethod
    def reads(strides: Sequence[int]) -> list[int]:
        """Choose the strides it reads among those a backbone offers: the largest."""
        return [max(strides)]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Predict maps from the deepest features, shape (batch, channels, rows, columns)."""
        cmap = self.cmap_up(features[-1])
        paf = self.paf_up(features[-1])
        cmap = self.cmap_conv(cmap * torch.sigmoid(self.cmap_att(cmap)))
        paf = self.paf_conv(paf * torch.tanh(self.paf_att(paf)))
        return cmap, paf.unflatten(1, (-1, 2))


class LightHead(nn.Module):
    """A small feature pyramid: 1×1 laterals, nearest upsampling, depthwise-separable smoothing.

    Made for small devices: all levels from stride 4 down contribute, and nothing denser than a 1×1 convolution runs at
    the full map resolution.
    """

    outputs = ("out",)

    def __init__(self, strides: Sequence[int], channels: Sequence[int], width: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.factors = [deep // shallow for shallow, deep in pairwise(strides)]
        self.lateral = nn.ModuleList(_normalised(nn.Conv2d(count, width, 1, bias=False)) for count in channels)
        self.smooth = nn.ModuleList(_separable(width) for _ in self.factors)
        self.refine = _separable(width)
        self.joints = len(skeleton)
        self.out = nn.Conv2d(width, self.joints + 2 * len(skeleton.limbs), 1)

    @staticmethod
    def reads(strides: Sequence[int]) -> list[int]:
        """Choose the strides it reads among those a backbone offers: all from stride 4 down."""
        if STRIDE not in strides:
            raise UserError(f"student.head=light: expected attention: the backbone has strides {strides}, not {STRIDE}")
        return [stride for stride in strides if stride >= STRIDE]

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Predict maps from features, shallowest first, shape (batch, channels, rows, columns) each."""
        levels = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        x = levels.pop()
        for level, smooth, factor in zip(reversed(levels), self.smooth, reversed(self.factors), strict=True):
            x = smooth(F.interpolate(x, scale_factor=factor, mode="nearest") + level)
        maps = self.out(self.refine(x))
        return maps[:, : self.joints], maps[:, self.joints :].unflatten(1, (-1, 2))


HEADS: dict[str, type[AttentionHead] | type[LightHead]] = {"attention": AttentionHead, "light": LightHead}


def _upsampling(channels: int, width: int, doublings: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for stage in range(doublings):
        deconvolution = nn.ConvTranspose2d(width if stage else channels, width, kernel_size=4, stride=2, padding=1)
        layers += [deconvolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _separable(width: int) -> nn.Sequential:
    depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
    pointwise = nn.Conv2d(width, width, 1, bias=False)
    return nn.Sequential(_normalised(depthwise), nn.ReLU(inplace=True), _normalised(pointwise), nn.ReLU(inplace=True))


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels))
