"""Loading a student from one of our checkpoints, and writing one without a trainer."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pose_oad.errors import UserError
from pose_oad.files import raise_if_interrupted, replacing
from pose_oad.students.config import StudentConfig
from pose_oad.students.network import PoseStudent

_PREFIX = "student."


def load_student(path: str | Path, expected: StudentConfig | None = None) -> PoseStudent:
    """Read a student from a Lightning checkpoint of ours (pre-training, fine-tuning or a stream's end).

    Nothing but tensors and plain values is unpickled.

    Args:
        path: the checkpoint
        expected: the network the caller wants, at the input size wanted; the file's own, whatever it is, where None

    Returns:
        the network in evaluation mode, on the CPU.

    Raises:
        UserError: if the file is missing, damaged or not ours, or holds another network than expected.
    """
    path = Path(path)
    checkpoint = _read(path)
    config = _described(checkpoint, path)
    if expected is not None and (different := config.differences(expected)):
        raise UserError(
            f"checkpoint {path}: holds {_phrase(config, different)}; expected {_phrase(expected, different)} "
            f"(student={expected.name})"
        )
    size = list((expected or config).input_size)
    student = PoseStudent(StudentConfig.from_dict(config.to_dict() | {"pretrained": False, "input_size": size}))
    weights = {
        key.removeprefix(_PREFIX): value for key, value in checkpoint["state_dict"].items() if key.startswith(_PREFIX)
    }
    try:
        student.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"checkpoint {path}: its {len(weights)} tensors are not those of the {config.backbone} student it says it "
            f"holds; expected a checkpoint written by this project"
        ) from error
    return student.eval()


def save_student(student: PoseStudent, path: str | Path) -> None:
    """Write a student as a checkpoint that :func:`load_student` reads. The file appears when it is complete.

    Args:
        student: the network
        path: the checkpoint

    Raises:
        UserError: if the file cannot be written.
    """
    path = Path(path)
    weights = {f"{_PREFIX}{key}": value.detach().cpu() for key, value in student.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            torch.save({"hyper_parameters": {"student": student.config.to_dict()}, "state_dict": weights}, partial)
    except (OSError, RuntimeError) as error:  # torch reports a file that it cannot write as the latter
        raise_if_interrupted(error)
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"checkpoint {path}: cannot be written ({reason})") from error


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UserError(f"checkpoint {path}: no such file; expected a checkpoint that pretrain or online wrote")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"checkpoint {path}: damaged, or no weights-only torch file ({reason})") from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise UserError(f"checkpoint {path}: not a checkpoint of this project (no state_dict)")
    return checkpoint


def _described(checkpoint: Mapping[str, Any], path: Path) -> StudentConfig:
    hyper_parameters = checkpoint.get("hyper_parameters")
    values = hyper_parameters.get("student") if isinstance(hyper_parameters, dict) else None
    if not isinstance(values, dict):
        raise UserError(f"checkpoint {path}: not a checkpoint of this project (no description of a student)")
    try:
        return StudentConfig.from_dict(values)
    except UserError as error:
        raise UserError(f"checkpoint {path}: {error}") from error


def _phrase(config: StudentConfig, keys: list[str]) -> str:
    return ", ".join(f"{key}={getattr(config, key)}" for key in keys)
