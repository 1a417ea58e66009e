"""trt_pose's two published networks, written from their description with torchvision: what our students must equal."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models

#: Px of the published networks' square inputs.
SIDES = {"densenet121": 256, "resnet18": 224}


class _Densenet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.densenet = models.densenet121(weights=None)

    def forward(self, images: Tensor) -> Tensor:
        return self.densenet.features(images)


class _Resnet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resnet = models.resnet18(weights=None)

    def forward(self, images: Tensor) -> Tensor:
        net = self.resnet
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = layer(x)
        return x


class _Head(nn.Module):
    def __init__(self, channels: int, joints: int, limbs: int) -> None:
        super().__init__()
        self.cmap_up, self.paf_up = self._up(channels), self._up(channels)
        self.cmap_att, self.paf_att = nn.Conv2d(256, 256, 3, 1, 1), nn.Conv2d(256, 256, 3, 1, 1)
        self.cmap_conv, self.paf_conv = nn.Conv2d(256, joints, 1), nn.Conv2d(256, 2 * limbs, 1)

    @staticmethod
    def _up(channels: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for count in (channels, 256, 256):
            layers += [nn.ConvTranspose2d(count, 256, 4, 2, 1), nn.BatchNorm2d(256), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        maps, fields = self.cmap_up(features), self.paf_up(features)
        gated = maps * torch.sigmoid(self.cmap_att(maps)), fields * torch.tanh(self.paf_att(fields))
        return self.cmap_conv(gated[0]), self.paf_conv(gated[1])


def reference(backbone: str, joints: int = 18, limbs: int = 21) -> nn.Sequential:
    """Build a network with torch's random weights and random statistics of its normalisations."""
    trunk, channels = (_Densenet(), 1024) if backbone == "densenet121" else (_Resnet(), 512)
    network = nn.Sequential(trunk, _Head(channels, joints, limbs)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
            layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.normal_(0, 0.2)
    return network


def write_reference(folder: Path, backbone: str, seed: int = 0) -> Path:
    """Write a network's state dict as trt_pose names its published file of that trunk."""
    torch.manual_seed(seed)
    path = folder / f"{backbone}_baseline_att.pth"
    torch.save(reference(backbone).state_dict(), path)
    return path
