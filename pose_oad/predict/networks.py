"""Loading a network of either kind, and how frames are laid into it: a checkpoint's student or an exported ONNX file.

Commands that only look (predict, evaluate) work with either.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pose_oad.poses.geometry import ResizeMode
from pose_oad.students import PoseStudent, load_student
from pose_oad.students.exported import ExportedStudent
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.tracking.errors import UserError, check, reason_of
from pose_oad.tracking.schema import check_value


def load_predictor(path: str | Path, device: str = "cpu", threads: int | None = None) -> PoseNetwork:
    """Load a network, named as its file.

    It is a checkpoint (.ckpt, .safetensors), trt_pose's weights (.pth) or an exported network (.onnx). A checkpoint's
    student is put on a torch device; an exported one has so many threads, or onnxruntime's choice.

    Raises:
        UserError: if the suffix is none of these, the file cannot be loaded, or the device does not exist.
    """
    path = Path(str(path))
    accepted = "a checkpoint (.ckpt, .safetensors, .pth) or an exported network (.onnx)"
    check(path.suffix.lower() in (".ckpt", ".safetensors", ".pth", ".onnx"), "checkpoint", path, accepted)
    if path.suffix.lower() == ".onnx":
        return ExportedStudent(path, threads)
    student = load_student(path)
    try:
        student = student.to(torch.device(device))
    except (RuntimeError, AssertionError) as error:  # an unknown name, or a device that this torch or machine lacks
        raise UserError(
            f"device={device}: expected a torch device of this machine, as cpu ({reason_of(error)})"
        ) from error
    student.name = f"{path.parent.name}/{path.stem}" if path.parent.name else path.stem
    return student


def laid_alike(
    networks: Mapping[str, PoseNetwork], key: str, resize_mode: str | None, *attributes: str
) -> list[tuple[ResizeMode, dict[str, PoseNetwork]]]:
    """Group named networks that agree in some attributes and, as :func:`choose_resize_mode` says, in how frames lie."""
    groups: dict[tuple[Any, ...], dict[str, PoseNetwork]] = {}
    for name, network in networks.items():
        shared = (
            choose_resize_mode(network, key, resize_mode),
            *(getattr(network, attribute) for attribute in attributes),
        )
        groups.setdefault(shared, {})[name] = network
    return [(shared[0], group) for shared, group in groups.items()]


def choose_resize_mode(network: PoseNetwork, key: str, resize_mode: str | None) -> ResizeMode:
    """Choose how frames lie in a network's input: as a config key says, or where that is null, as in its training."""
    if resize_mode is None:
        return network.resize_mode
    # Checkpoints of older versions do not say what they were trained with, so a user may know better.
    known, own = not isinstance(network, PoseStudent), network.resize_mode
    chosen: ResizeMode = check_value(ResizeMode, resize_mode, key)
    check(not known or chosen == own, key, chosen, f"{own}, for which {network.name} was exported")
    return chosen
