"""ViTPose from Hugging Face as a teacher: a pose for each person that a detector found. An optional extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.poses.joint_names import joint_name
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.keypoint_rcnn import KeypointRcnn, ShorterSide, label_in_batches
from pose_oad.teachers.loading import find_device
from pose_oad.tracking.errors import UserError, require
from pose_oad.tracking.schema import Count, Share, Text

# Which of the data sets that ViTPose+ was trained on at once, each with its own expert; COCO is its first.
_COCO_EXPERT = 0


class VitPoseTeacher:
    """Label frames with ViTPose, person by person, with the keys of ``conf/teacher/vitpose.yaml``.

    Coordinates of the network are COCO's pixel indices, to which half a px is added; confidences are the heights of its
    heat maps, at most 1. People stand in the order of the detector's score. Weights are read from safetensors alone.
    """

    uses_truth = False

    def __init__(
        self,
        model: Text,
        detector: Literal["frame", "keypoint_rcnn"] = "keypoint_rcnn",
        detector_weights: Text | None = None,
        min_score: Share = 0.7,
        size: ShorterSide = 800,
        skeleton: str | Mapping[str, Any] = "coco-17",
        min_joint_confidence: Share = 0.3,
        batch_size: Count = 2,
        device: str = "cpu",
    ) -> None:
        self.skeleton = get_skeleton(skeleton)
        self._size, self._least, self._batch_size = size, min_joint_confidence, batch_size
        self._device = find_device(device)
        self._processor, network = _load(model)
        self._network = network.eval().to(self._device)
        _check_joints(network.config, self.skeleton.joints, model)
        self._detector = None
        if detector == "keypoint_rcnn":
            accepted = "published weights (DEFAULT) or a .pth file, with detector=keypoint_rcnn"
            require(detector_weights is not None, "detector_weights", detector_weights, accepted)
            self._detector = KeypointRcnn(str(detector_weights), size, min_score, device, "teacher.detector_weights")
        self.name = f"vitpose:{model.rstrip('/').rpartition('/')[2]}"

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size at which detector and network see a frame, px."""
        if self._detector is not None:
            return self._detector.image_size(frame_size)
        scale = min(1.0, self._size / min(frame_size))
        return max(1, round(frame_size[0] * scale)), max(1, round(frame_size[1] * scale))

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with a pose for each person found."""
        return label_in_batches(request, self._label, self._batch_size, len(self.skeleton), self._least)

    def _label(self, images: np.ndarray) -> list[Tensor]:
        """Find people and their poses, shape (people, joints, 3) for each image, px of the image."""
        boxes = self._boxes(images)
        people = [torch.zeros(0, len(self.skeleton), 3) for _ in images]
        rows = [row for row, found in enumerate(boxes) if found]
        if rows:
            poses = self._poses([images[row] for row in rows], [boxes[row] for row in rows])
            for row, found in zip(rows, poses, strict=True):
                people[row] = torch.stack([_keypoints(pose) for pose in found])
        return people

    def _boxes(self, images: np.ndarray) -> list[list[list[float]]]:
        """Return the boxes of each image's people: left, top, width, height, in pixel indices."""
        if self._detector is None:
            height, width = images.shape[1:3]
            return [[[0.0, 0.0, float(width), float(height)]] for _ in images]
        corners = [found.boxes for found in self._detector.find(images)]
        return [torch.cat([box[:, :2], box[:, 2:] - box[:, :2]], 1).tolist() for box in corners]

    @torch.no_grad()
    def _poses(self, images: list[np.ndarray], boxes: list[list[list[float]]]) -> list[list[dict[str, Tensor]]]:
        crops = self._processor(images, boxes=boxes, return_tensors="pt")["pixel_values"].to(self._device)
        expert = {}
        if getattr(self._network.config.backbone_config, "num_experts", 1) > 1:
            expert["dataset_index"] = torch.full((len(crops),), _COCO_EXPERT, device=self._device)
        return self._processor.post_process_pose_estimation(self._network(pixel_values=crops, **expert), boxes=boxes)


def _keypoints(pose: dict[str, Tensor]) -> Tensor:
    """Turn a pose of the processor into keypoints, px of the image, shape (joints, 3)."""
    location = pose["keypoints"].float() + COCO_PIXEL_CENTRE
    return torch.cat([location, pose["scores"].float().clamp(0, 1).unsqueeze(-1)], -1)


def _load(model: str) -> tuple[Any, Any]:
    try:
        from transformers import VitPoseForPoseEstimation, VitPoseImageProcessor
    except ImportError as error:
        raise UserError("teacher=vitpose: needs transformers: pip install 'pose_oad[vitpose]'") from error
    try:
        processor = VitPoseImageProcessor.from_pretrained(model)
        # Other formats of weights are pickles.
        return processor, VitPoseForPoseEstimation.from_pretrained(model, use_safetensors=True)
    except Exception as error:  # missing, damaged, unreachable, another architecture: each raises something else
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"teacher.model={model}: cannot be loaded as a ViTPose model ({reason})") from error


def _check_joints(config: Any, joints: Sequence[str], model: str) -> None:
    """Refuse a joint set that is not the model's, as far as it says which that is."""
    count = f"the {config.num_labels} joints of {model}"
    require(config.num_labels == len(joints), "skeleton", f"{len(joints)} joints", count)
    named = [joint_name(str(config.id2label[number])) for number in range(config.num_labels)]
    if not any(name.startswith("label") for name in named):  # transformers' own LABEL_0, LABEL_1, … mean nothing
        require(named == list(joints), "skeleton", ", ".join(joints), f"the joints of {model}: {', '.join(named)}")
