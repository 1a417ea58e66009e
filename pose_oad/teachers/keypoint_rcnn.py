"""torchvision's Keypoint R-CNN as a teacher, and as a finder of people for others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.error import URLError

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torchvision.models.detection import KeypointRCNN, KeypointRCNN_ResNet50_FPN_Weights
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest, stack_people
from pose_oad.teachers.identity import content_hash
from pose_oad.teachers.loading import find_device, read_state_dict
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import Count, Share, Text

_PUBLISHED = KeypointRCNN_ResNet50_FPN_Weights
# The longer side of an image, as a multiple of the shorter one, from which it is shrunk further: torchvision's own.
_LONGEST = 1333 / 800

#: Px of the shorter side to which images are resized.
ShorterSide = Annotated[int, Field(ge=32)]


class People(NamedTuple):
    """The people that the network found in one image, best first."""

    boxes: Tensor  #: left, top, right, bottom, px of the image, shape (people, 4)
    keypoints: Tensor  #: x, y, confidence, px of the image, shape (people, 17, 3)


class KeypointRcnn:
    """torchvision's Keypoint R-CNN with a ResNet-50 and a feature pyramid, 17 joints of COCO.

    It was trained on COCO's pixel indices; half a px is added to its coordinates. A joint's confidence is the logistic
    function of its score, the height of its heat map: 0.5 where the network is undecided.

    Args:
        weights: ``DEFAULT``, ``COCO_V1`` or ``COCO_LEGACY``, which torchvision downloads (226 MB) where it has not yet;
            or a file of weights of this network
        size: images are resized so that their shorter side has this many px (the longer at most 1.67 times as many)
        min_score: people of less are left out, in [0, 1]
        device: torch device it runs on
        key: config key of the weights, for errors
    """

    def __init__(self, weights: str, size: int, min_score: float, device: str, key: str = "teacher.weights") -> None:
        self._size, self._device = size, find_device(device)
        self._network = _load(weights, size, min_score, key).to(self._device)

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size to which the network resizes a frame, px; the frame's own where that is smaller."""
        short, long = min(frame_size), max(frame_size)
        scale = min(1.0, self._size / short, _LONGEST * self._size / long)
        return max(1, round(frame_size[0] * scale)), max(1, round(frame_size[1] * scale))

    @torch.no_grad()
    def find(self, images: np.ndarray) -> list[People]:
        """Find the people in images, RGB uint8, shape (images, height, width, 3)."""
        batch = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2).float() / 255
        return [_read({name: part.cpu() for name, part in found.items()}) for found in self._network(list(batch))]


class KeypointRcnnTeacher:
    """Label frames with Keypoint R-CNN, with the keys of ``conf/teacher/keypoint_rcnn.yaml``.

    People stand in the order of their score. The network gives every joint of a person a place, seen or not.
    """

    uses_truth = False

    def __init__(
        self,
        weights: Text,
        size: ShorterSide = 800,
        min_score: Share = 0.7,
        min_joint_confidence: Share = 0.5,
        batch_size: Count = 2,
        device: str = "cpu",
    ) -> None:
        self._finder = KeypointRcnn(weights, size, min_score, device)
        self._least, self._batch_size = min_joint_confidence, batch_size
        self.skeleton = get_skeleton("coco-17")
        self.name = f"keypoint_rcnn:{Path(weights).stem}"

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size at which the network sees a frame, px."""
        return self._finder.image_size(frame_size)

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the network's people."""
        return label_in_batches(request, self._find, self._batch_size, len(self.skeleton), self._least)

    def _find(self, images: np.ndarray) -> list[Tensor]:
        return [found.keypoints for found in self._finder.find(images)]


def label_in_batches(
    request: TeacherRequest, find: Callable[[np.ndarray], list[Tensor]], batch_size: int, joints: int, least: float
) -> Labels:
    """Label frames with the people that ``find`` sees in some images, shape (people, joints, 3), px of the image.

    Joints of a smaller confidence than ``least`` were not found.
    """
    images = request.pixels()
    resize = FrameResize.of(request.frame_size, (images.shape[2], images.shape[1]), "squash")
    batches = (images[at : at + batch_size] for at in range(0, len(images), batch_size))
    keypoints = resize.to_frame(stack_people([people for batch in batches for people in find(batch)], joints))
    return Labels(keypoints * (keypoints[..., 2:] >= max(least, torch.finfo(torch.float32).tiny)))


def _read(found: dict[str, Tensor]) -> People:
    """Turn the network's output for one image into people, best first."""
    order = found["scores"].argsort(descending=True, stable=True)
    location = found["keypoints"][order, :, :2] + COCO_PIXEL_CENTRE
    confidence = found["keypoints_scores"][order].sigmoid().unsqueeze(-1)
    return People(found["boxes"][order], torch.cat([location, confidence], -1))


def _load(weights: str, size: int, min_score: float, key: str) -> torch.nn.Module:
    """Build the network with its weights, in evaluation mode, on the CPU."""
    if weights in _PUBLISHED.__members__:
        published = _PUBLISHED[weights]
        without_term = published == _PUBLISHED.COCO_V1
        try:
            state = dict(published.get_state_dict(progress=True, check_hash=True, weights_only=True))
        except (URLError, OSError, RuntimeError) as error:
            raise UserError(f"{key}={weights}: cannot be downloaded ({error}); expected a file") from error
    else:
        try:
            state = read_state_dict(Path(weights))
            without_term = content_hash(Path(weights)).startswith(_hash_of(_PUBLISHED.COCO_V1))
        except UserError as error:
            raise UserError(f"{key}={error}; expected {', '.join(_PUBLISHED.__members__)} or a .pth file") from error
    # These published weights alone were trained without the small term in the batch norms' denominators.
    network = _network(0.0 if without_term else 1e-5, size, min_score)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{key}={weights}: no weights of keypointrcnn_resnet50_fpn ({reason})") from error
    return network.eval()


def _hash_of(published: KeypointRCNN_ResNet50_FPN_Weights) -> str:
    """Return the first digits of the SHA-256 of a published file, with which its name ends."""
    return Path(published.url).stem.rpartition("-")[2]


def _network(eps: float, size: int, min_score: float) -> torch.nn.Module:
    """Build ``keypointrcnn_resnet50_fpn`` for two classes and 17 joints."""
    norm = partial(FrozenBatchNorm2d, eps=eps)
    trunk = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm)
    longest = round(_LONGEST * size)
    return KeypointRCNN(
        trunk, 2, num_keypoints=17, min_size=size, max_size=longest, box_score_thresh=min_score
    )  # fmt: skip
