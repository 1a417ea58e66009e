"""The student network: uint8 frames in, maps out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import timm
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from pose_oad.poses.maps import MapTargets, encode
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students.config import STRIDE, StudentConfig
from pose_oad.students.heads import HEADS
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.students.modes import evaluating
from pose_oad.tracking.errors import UserError, check, nearest


class PoseStudent(PoseNetwork, nn.Module):
    """A timm backbone with a head that predicts confidence maps and part affinity fields at stride 4.

    In training, frames go through :meth:`normalise` first: it is the one place where colours are scaled, on whatever
    device the network is on.
    """

    config: StudentConfig
    scale: Tensor
    offset: Tensor

    def __init__(self, config: StudentConfig) -> None:
        """Build the network of a description; :func:`build_student` says what it refuses."""
        super().__init__()
        self.config, self.name = config, config.name
        self.skeleton: Skeleton = get_skeleton(config.skeleton)
        check(config.head in HEADS, "student.head", config.head, " or ".join(HEADS))
        head = HEADS[config.head]
        offered = _feature_strides(config.backbone)
        largest = max(offered)
        check(
            all(side % largest == 0 for side in config.input_size),
            "student.input_size",
            list(config.input_size),
            f"multiples of {largest} px, the largest stride of {config.backbone}",
        )
        strides = head.reads(offered)
        levels = tuple(offered.index(stride) for stride in strides)
        self.backbone = _create(config.backbone, out_indices=levels, pretrained=config.pretrained)
        self.head = head(strides, self.backbone.feature_info.channels(), config.head_channels, self.skeleton)
        mean, std = torch.tensor(IMAGENET_DEFAULT_MEAN), torch.tensor(IMAGENET_DEFAULT_STD)
        self.register_buffer("scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("offset", (-mean / std).view(3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)

    def trained_with(self, foreground: float) -> None:
        """Note in the description with which weight of a joint's cells the weights are trained from now on."""
        self.config = replace(self.config, foreground=foreground)

    def targets(self, keypoints: Tensor) -> MapTargets:
        """Render people, px of the input, shape (batch, people, joints, 3), to the maps it is trained to predict."""
        return encode(
            keypoints, self.skeleton, input_size=self.input_size, map_size=self.map_size, sigma=self.config.sigma
        )

    def normalise(self, frames: Tensor) -> Tensor:
        """Turn RGB uint8 frames, shape (batch, height, width, 3), into network input: ImageNet mean and deviation.

        Returns:
            shape (batch, 3, height, width), the network's floating type and device, channels-last in memory.
        """
        width, height = self.input_size
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1:] != (height, width, 3):
            raise ValueError(f"frames {frames.dtype} {tuple(frames.shape)}: expected uint8 (n, {height}, {width}, 3)")
        # A permuted view of interleaved RGB is the channels-last layout already: no copy beyond the conversion.
        planes = frames.to(self.scale.device, non_blocking=True).permute(0, 3, 1, 2)
        return planes.to(self.scale.dtype).mul_(self.scale).add_(self.offset)

    @torch.no_grad()  # not inference mode: a teacher's maps become training targets
    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some frames, see :meth:`PoseNetwork.maps`; every layer is left in the mode it was in."""
        with evaluating(self):
            maps, fields = self(self.normalise(frames))
        return maps.float(), fields.float()

    @torch.no_grad()
    def features(self, frames: Tensor, batch_size: int = 64) -> Tensor:
        """Pool the trunk's deepest feature maps, as in use: in evaluation mode.

        Args:
            frames: RGB uint8, shape (frames, height, width, 3), at the input size
            batch_size: frames per forward pass

        Returns:
            shape (frames, channels), float32, on the CPU.
        """
        with evaluating(self):
            parts = [self.backbone(self.normalise(part))[-1].mean((2, 3)) for part in frames.split(batch_size)]
        return torch.cat(parts).float().cpu()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict maps of normalised frames, shape (batch, 3, height, width).

        Returns:
            confidence maps, shape (batch, joints, height / 4, width / 4), and part affinity fields, shape (batch,
            limbs, 2, height / 4, width / 4), x then y component.
        """
        return self.head(self.backbone(images))


def build_student(config: StudentConfig) -> PoseStudent:
    """Build a student network from its description; refuse a backbone, head or input size that it cannot have."""
    return PoseStudent(config)


def _create(backbone: str, **options: Any) -> Any:
    """Create a timm feature extractor (timm has no common type for them), or say why there is none."""
    if not timm.is_model(backbone):
        raise UserError(f"student.backbone={backbone}: no timm model{nearest(backbone, timm.list_models())}")
    try:
        model: Any = timm.create_model(backbone, features_only=True, **options)
    except (RuntimeError, ValueError, AssertionError, AttributeError, OSError) as error:
        # timm has no common exception for "no features_only" or "no published weights".
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"student.backbone={backbone}: cannot extract features ({reason[:160]})") from error
    if backbone.startswith("densenet"):
        # timm joins a ReLU to the last norm; torchvision's and trt_pose's features end before it.
        model.features_norm5.act = nn.Identity()
    return model


def _feature_strides(backbone: str) -> list[int]:
    """Strides at which a backbone offers features, px of the input, smallest first."""
    with torch.device("meta"):
        strides = _create(backbone, pretrained=False).feature_info.reduction()
    deep = [stride for stride in strides if stride >= STRIDE and stride & (stride - 1) == 0]
    if not deep or sorted(set(strides)) != strides:
        raise UserError(
            f"student.backbone={backbone}: its features stand at strides {strides}; expected increasing powers of two "
            f"with at least one of {STRIDE} or more"
        )
    return strides
