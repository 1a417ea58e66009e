"""The state dicts of NVIDIA's trt_pose as students, and students as such state dicts.

Two of its networks are ours by another name: a torchvision trunk (``0.densenet.features.*``, ``0.resnet.*``) and the
attention head (``1.*``). What differs besides the names: its files hold torchvision's unused classifier too, and the
channels of a part affinity field are its row and its column component, where ours are x and y.

Such a file does not say what its channels are. Published ones have the 18 joints and 21 limbs of ``human_pose.json``;
beside one that this project writes lies its topology (:func:`topology_file`), which trt_pose reads as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pose_oad.students.config import StudentConfig
from pose_oad.students.network import PoseStudent
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.torch_file import is_plain

_CLASSES = 1000  # of ImageNet, on which torchvision's classifiers were trained


@dataclass(frozen=True)
class _Design:
    """One of trt_pose's networks: who it is here, how its trunk's tensors begin there and here, its classifier."""

    published: StudentConfig
    theirs: str
    ours: str
    classifier: str
    features: int

    @property
    def name(self) -> str:
        """What trt_pose calls it."""
        return f"{self.published.backbone}_baseline_att"

    def to_ours(self, name: str) -> str:
        """Translate the name of a tensor."""
        if name.startswith(self.theirs):
            return self.ours + name.removeprefix(self.theirs)
        return f"head.{name.removeprefix('1.')}"

    def to_theirs(self, name: str) -> str:
        """Translate the name of a tensor back."""
        if name.startswith("head."):
            return f"1.{name.removeprefix('head.')}"
        return self.theirs + name.removeprefix(self.ours)


def _published(backbone: str, side: int) -> StudentConfig:
    """Describe a published network; the values are those of trt_pose's training configurations."""
    name, size = f"trt_pose_{backbone}", (side, side)
    return StudentConfig(name, backbone, "trt-pose-18", size, "attention", 256, sigma=0.025, resize_mode="squash")


_DESIGNS = (
    _Design(
        _published("densenet121", 256), "0.densenet.features.", "backbone.features_", "0.densenet.classifier", 1024
    ),
    _Design(_published("resnet18", 224), "0.resnet.", "backbone.", "0.resnet.fc", 512),
)
_NAMES = " or ".join(design.name for design in _DESIGNS)


def find_tensors(contents: object) -> dict[str, Any] | None:
    """Find trt_pose's state dict, by its names, in what a file holds; None if it holds something else.

    It may be the file's whole content or stand under ``model`` or ``state_dict``, and its names may begin with
    ``module.``, as training on several GPUs leaves them.
    """
    for key in ("model", "state_dict"):
        if isinstance(contents, dict) and isinstance(contents.get(key), dict):
            contents = contents[key]
    if not isinstance(contents, dict):
        return None
    tensors = {str(name).removeprefix("module."): value for name, value in contents.items()}
    return tensors if _trunk(tensors) else None


def from_trt_pose(tensors: Mapping[str, Any], path: Path) -> tuple[StudentConfig, dict[str, Tensor]]:
    """Turn the tensors that :func:`find_tensors` found into a student's: its description, and its tensors by our names.

    The topology beside the file is read if there is one. Tensors that are not exactly those of a network known here are
    refused, as are numbers that are not finite; the first is named.
    """
    [design] = [design for design in _DESIGNS if design.theirs.startswith(_trunk(tensors))]
    config = _described(design, path)
    ours = {}
    try:
        expected = _shapes(design, config)
    except UserError as error:  # published networks can be built: it is the description's
        raise UserError(f"{topology_file(path)}: {error}") from error
    for name in tensors:
        if name not in expected and not name.startswith(f"{design.classifier}."):
            raise UserError(f"checkpoint {path}: its tensor {name[:80]!r} is not one of trt_pose's; expected {_NAMES}")
    for name, shape in expected.items():
        tensor = tensors.get(name)
        if not isinstance(tensor, Tensor) or tensor.shape != shape:
            there = f"has shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else "is missing"
            raise UserError(f"checkpoint {path}: its tensor {name} {there}; expected shape {tuple(shape)}")
        if not is_plain(tensor) or not tensor.isfinite().all():
            raise UserError(f"checkpoint {path}: damaged: its tensor {name} does not hold finite numbers alone")
        ours[design.to_ours(name)] = tensor
    return config, _components_swapped(ours)


def to_trt_pose(student: PoseStudent) -> dict[str, Tensor]:
    """Turn a student's tensors into what trt_pose's network of the same trunk loads strictly, on the CPU.

    The classifier, which it has but does not use, is zero. A student of which trt_pose has no such network is refused.
    """
    design = _design_of(student.config)
    ours = {name: value.detach().cpu().contiguous() for name, value in student.state_dict().items()}
    theirs = {design.to_theirs(name): value for name, value in _components_swapped(ours).items()}
    return theirs | {
        f"{design.classifier}.weight": torch.zeros(_CLASSES, design.features),
        f"{design.classifier}.bias": torch.zeros(_CLASSES),
    }


def topology(student: PoseStudent) -> dict[str, Any]:
    """Describe a student's channels as trt_pose's ``human_pose.json`` does, and the student itself beside them.

    Returns:
        Plain values: ``keypoints`` (joint names in channel order), ``skeleton`` (limbs as pairs of joint numbers from
        1) and ``student``, the description that :func:`from_trt_pose` reads back.
    """
    return {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(student.skeleton.joints),
        "skeleton": [[start + 1, end + 1] for start, end in student.skeleton.limbs],
        "student": student.config.to_dict(),
    }


def topology_file(path: Path) -> Path:
    """Name the file that says what the channels of a state dict are: ``student.topology.json`` of ``student.pth``."""
    return path.with_suffix(".topology.json")


def _trunk(names: Iterable[str]) -> str:
    """Return how the names of a trunk's tensors begin, ``""`` where there is none of a kind known here."""
    beginnings = ("0.densenet.", "0.resnet.")
    return next((begin for begin in beginnings if any(name.startswith(begin) for name in names)), "")


def _design_of(config: StudentConfig) -> _Design:
    for design in _DESIGNS:
        if not set(design.published.differences(config)) - {"skeleton", "sigma"}:
            return design
    raise UserError(
        f"student {config.name}: backbone={config.backbone}, head={config.head}, head_channels={config.head_channels}; "
        f"trt_pose has {_NAMES} only, with head=attention and head_channels=256"
    )


def _described(design: _Design, path: Path) -> StudentConfig:
    """Read the description beside a file; without one it is taken for the published network."""
    file = topology_file(path)
    if not file.is_file():
        return design.published
    try:
        values = json.loads(file.read_text(encoding="utf-8"))["student"]
        config = StudentConfig.from_dict(values)
        if _design_of(config) is not design:
            raise UserError(f"describes a student with backbone={config.backbone}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{file}: expected the description of a {design.name} ({reason})") from error
    return config


def _shapes(design: _Design, config: StudentConfig) -> dict[str, torch.Size]:
    with torch.device("meta"):
        blank = PoseStudent(config)
    return {design.to_theirs(name): value.shape for name, value in blank.state_dict().items()}


def _components_swapped(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Exchange the two components of every part affinity field in the layer that computes them (ours by name)."""
    exchanged = {
        name: weights[name].unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
        for name in ("head.paf_conv.weight", "head.paf_conv.bias")
    }
    return {**weights, **exchanged}
