"""Loading a network of either kind, and how frames are laid into it: a checkpoint's student or an exported ONNX file.

Commands that only look (predict, evaluate) work with either.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from pose_oad.poses.geometry import FITS, Fit
from pose_oad.students import PoseStudent, load_student
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.tracking.errors import UserError, check


def load_predictor(path: str | Path, device: str = "cpu", threads: int | None = None) -> PoseNetwork:
    """Load a network of any kind; the file's suffix says which.

    Args:
        path: a checkpoint (.ckpt, .safetensors), trt_pose's weights (.pth) or an exported network (.onnx)
        device: torch device of a checkpoint's student
        threads: threads of an exported network on a CPU; None leaves it to onnxruntime

    Returns:
        The network, named as its file.

    Raises:
        UserError: if the suffix is neither, the file cannot be loaded, or the device does not exist.
    """
    path = Path(str(path))
    accepted = "a checkpoint (.ckpt, .safetensors, .pth) or an exported network (.onnx)"
    check(path.suffix.lower() in (".ckpt", ".safetensors", ".pth", ".onnx"), "checkpoint", path, accepted)
    if path.suffix.lower() == ".onnx":
        from pose_oad.students.exported import ExportedStudent

        return ExportedStudent(path, threads)
    student = load_student(path)
    try:
        student = student.to(torch.device(device))
    except (RuntimeError, AssertionError) as error:  # an unknown name, or a device that this torch or machine lacks
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"device={device}: expected a torch device of this machine, as cpu ({reason})") from error
    student.name = f"{path.parent.name}/{path.stem}" if path.parent.name else path.stem
    return student


def laid_alike(
    networks: Mapping[str, PoseNetwork], key: str, fit: str | None, *attributes: str
) -> list[tuple[Fit, dict[str, PoseNetwork]]]:
    """Group networks that agree in some attributes and in how frames are laid into them.

    Args:
        networks: by name
        key: as for :func:`choose_fit`
        fit: likewise
        attributes: names of attributes
    """
    groups: dict[tuple[Any, ...], dict[str, PoseNetwork]] = {}
    for name, network in networks.items():
        shared = (choose_fit(network, key, fit), *(getattr(network, attribute) for attribute in attributes))
        groups.setdefault(shared, {})[name] = network
    return [(shared[0], group) for shared, group in groups.items()]


def choose_fit(network: PoseNetwork, key: str, fit: str | None) -> Fit:
    """Choose how frames lie in a network's input.

    Args:
        network: the network
        key: config key of ``fit``
        fit: ``letterbox`` or ``squash``; None takes what the network was trained with

    Raises:
        UserError: naming the key, if there is no such fit, or an exported network was made for the other one.
    """
    if fit is None:
        return network.fit
    # Checkpoints of older versions do not say what they were trained with, so a user may know better.
    known = not isinstance(network, PoseStudent)
    check(fit in FITS, key, fit, "letterbox or squash, or null")
    check(not known or fit == network.fit, key, fit, f"{network.fit}, for which {network.name} was exported")
    return cast("Fit", fit)
