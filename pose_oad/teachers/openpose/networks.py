"""OpenPose's two body networks: images in, heat maps of joints and part affinity fields out.

Every convolution and every PReLU bears the name it has in the published Caffe definition, as the last part of its
module path: ``conv4_2``, ``prelu4_2``, ``Mconv1_stage2_L1``. Files of weights are matched by these names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

# VGG-19 as far as the second convolution of its fourth block: channels of the convolutions between two poolings.
_VGG = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512))
_TRUNK = 128  # channels of the trunk's output


class _Layer(NamedTuple):
    """A convolution of stride 1 that keeps the size, and what follows it; its name contains ``conv``."""

    name: str
    channels: int
    kernel: int = 3
    activation: Literal["relu", "prelu", "none"] = "relu"


class OpenPoseCoco18(nn.Module):
    """The network of ``pose_iter_440000.caffemodel``: 18 joints, 19 limbs.

    Six stages; in each, the branch L1 predicts the fields and the branch L2 the heat maps, both from what the stage
    before predicted (Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", 2017,
    figure 3).
    """

    #: Joint set of its maps.
    skeleton_name = "coco-18"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _trunk("relu")
        branches = {"L1": 38, "L2": 19}
        first = {name: _stack(_TRUNK, _first_stage(name, outputs)) for name, outputs in branches.items()}
        seen = _TRUNK + sum(branches.values())
        later = [
            {name: _stack(seen, _later_stage(stage, name, outputs)) for name, outputs in branches.items()}
            for stage in range(2, 7)
        ]
        self.stages = nn.ModuleList(nn.ModuleDict(stage) for stage in (first, *later))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some images.

        Args:
            images: BGR, (value of 0 to 255) / 256 - 0.5, shape (images, 3, height, width), multiples of 8 px

        Returns:
            Heat maps of the joints and the background, shape (images, 19, height / 8, width / 8), and part affinity
            fields in OpenPose's channel order, shape (images, 38, height / 8, width / 8).
        """
        trunk = self.trunk(images)
        maps: list[Tensor] = []
        for stage in self.stages:
            seen = torch.cat([*maps, trunk], 1)
            maps = [branch(seen) for branch in cast(nn.ModuleDict, stage).values()]
        fields, heat_maps = maps
        return heat_maps, fields


class OpenPoseBody25(nn.Module):
    """The network of ``pose_iter_584000.caffemodel``: 25 joints, 26 limbs.

    Four stages predict the fields (branch L2), then two the heat maps (branch L1), each of three serial convolutions in
    the place of one larger (Cao et al., "OpenPose: Realtime Multi-Person 2D Pose Estimation using Part Affinity
    Fields", 2019, figure 3).
    """

    #: Joint set of its maps.
    skeleton_name = "body-25"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = _trunk("prelu")
        fields, heat_maps = 52, 26
        self.fields = nn.ModuleList(
            _dense_stage(f"stage{stage}_L2", _TRUNK + (fields if stage else 0), fields, first=stage == 0)
            for stage in range(4)
        )
        self.heat_maps = nn.ModuleList(
            _dense_stage(f"stage{stage}_L1", _TRUNK + fields + (heat_maps if stage else 0), heat_maps, first=stage == 0)
            for stage in range(2)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some images as :meth:`OpenPoseCoco18.forward`, of 26 and 52 channels."""
        trunk = self.trunk(images)
        fields = self.fields[0](trunk)
        for stage in self.fields[1:]:
            fields = stage(torch.cat([trunk, fields], 1))
        heat_maps = self.heat_maps[0](torch.cat([trunk, fields], 1))
        return self.heat_maps[1](torch.cat([trunk, heat_maps, fields], 1)), fields


#: The networks by joint set, as ``teacher.network`` calls them.
NETWORKS: dict[str, type[OpenPoseCoco18] | type[OpenPoseBody25]] = {
    network.skeleton_name: network for network in (OpenPoseCoco18, OpenPoseBody25)
}


class _DenseBlock(nn.Module):
    """Three serial convolutions, of which the next layer sees all outputs."""

    def __init__(self, name: str, inputs: int, channels: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            _stack(channels if number else inputs, [_Layer(f"{name}_{number}", channels, activation="prelu")])
            for number in range(3)
        )

    def forward(self, seen: Tensor) -> Tensor:
        outputs = []
        for part in self.parts:
            seen = part(seen)
            outputs.append(seen)
        return torch.cat(outputs, 1)


def _trunk(last: Literal["relu", "prelu"]) -> nn.Sequential:
    """Build what turns an image into 128 features a cell; the last three layers have an activation of their own."""
    parts: list[nn.Module] = []
    inputs = 3
    for block, channels in enumerate(_VGG, start=1):
        layers = [_Layer(f"conv{block}_{number}", count) for number, count in enumerate(channels, start=1)]
        if block < len(_VGG):
            parts += [_stack(inputs, layers), nn.MaxPool2d(2)]
        else:
            adapted = [_Layer("conv4_3_CPM", 256, activation=last), _Layer("conv4_4_CPM", _TRUNK, activation=last)]
            parts.append(_stack(inputs, [*layers[:-1], layers[-1]._replace(activation=last), *adapted]))
        inputs = channels[-1]
    return nn.Sequential(*parts)


def _first_stage(branch: str, outputs: int) -> list[_Layer]:
    return [
        *(_Layer(f"conv5_{number}_CPM_{branch}", 128) for number in (1, 2, 3)),
        _Layer(f"conv5_4_CPM_{branch}", 512, kernel=1),
        _Layer(f"conv5_5_CPM_{branch}", outputs, kernel=1, activation="none"),
    ]


def _later_stage(stage: int, branch: str, outputs: int) -> list[_Layer]:
    return [
        *(_Layer(f"Mconv{number}_stage{stage}_{branch}", 128, kernel=7) for number in range(1, 6)),
        _Layer(f"Mconv6_stage{stage}_{branch}", 128, kernel=1),
        _Layer(f"Mconv7_stage{stage}_{branch}", outputs, kernel=1, activation="none"),
    ]


def _dense_stage(name: str, inputs: int, outputs: int, *, first: bool) -> nn.Sequential:
    """Build a stage of BODY_25; the first of a branch is narrower."""
    width, hidden = (96, 256) if first else (128, 512)
    blocks = [
        _DenseBlock(f"Mconv{number}_{name}", 3 * width if number > 1 else inputs, width) for number in range(1, 6)
    ]
    end = [
        _Layer(f"Mconv6_{name}", hidden, kernel=1, activation="prelu"),
        _Layer(f"Mconv7_{name}", outputs, kernel=1, activation="none"),
    ]
    return nn.Sequential(*blocks, _stack(3 * width, end))


def _stack(inputs: int, layers: Iterable[_Layer]) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, channels, kernel, activation in layers:
        modules[name] = nn.Conv2d(inputs, channels, kernel, padding=kernel // 2)
        if activation == "relu":
            modules[name.replace("conv", "relu")] = nn.ReLU(inplace=True)
        elif activation == "prelu":
            modules[name.replace("conv", "prelu")] = nn.PReLU(channels)
        inputs = channels
    return nn.Sequential(modules)
