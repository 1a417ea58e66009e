"""Loading a student from a checkpoint of ours, a file of safetensors or trt_pose's weights, and writing one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pose_oad.students.config import StudentConfig
from pose_oad.students.divergence import is_sound
from pose_oad.students.network import PoseStudent
from pose_oad.students.transfer import with_joint_set
from pose_oad.students.trt_pose import find_tensors, from_trt_pose
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import replacing
from pose_oad.tracking.torch_file import read_torch_file, write_torch_file

_LOG = logging.getLogger(__name__)
_PREFIX = "student."


def load_student(path: str | Path, expected: StudentConfig | None = None, *, other_joints: bool = False) -> PoseStudent:
    """Read a student from a Lightning checkpoint of ours, a file of safetensors, or a state dict of NVIDIA's trt_pose.

    Nothing but tensors and plain values is read. trt_pose's weights serve any joint set: what the two have in
    common is kept, by name, and the rest starts from torch's random initial weights.

    Args:
        path: a checkpoint of pre-training, of fine-tuning or of a stream's end, the weights that ship with the package
            (``.safetensors``), or trt_pose's file
        expected: the network the caller wants, at the input size and with the resize mode wanted; None: the file's own
        other_joints: whether a checkpoint of ours may serve another joint set likewise, instead of being refused

    Returns:
        the network in evaluation mode, on the CPU.
    """
    path = Path(path)
    contents = _read(path)
    tensors = find_tensors(contents)
    config, weights = _ours(contents, path) if tensors is None else from_trt_pose(tensors, path)
    wanted = expected or config
    different = config.differences(wanted)
    convertible = {"skeleton"} if other_joints or tensors is not None else set()
    if refused := [key for key in different if key not in convertible]:
        raise UserError(
            f"checkpoint {path}: holds {_phrase(config, refused)}; expected {_phrase(wanted, refused)} "
            f"(student={wanted.name})"
        )
    own = replace(config, pretrained=False, input_size=wanted.input_size, resize_mode=wanted.resize_mode)
    student = filled = _filled(own, weights, path)
    if config.resize_mode != wanted.resize_mode:
        _LOG.info("%s: made for resize_mode=%s, used with resize_mode=%s", path, config.resize_mode, wanted.resize_mode)
    if different:
        student, shared = with_joint_set(student, wanted)
        _LOG.info(
            "%s: %d of %d joints and %d of %d limbs of %s are kept from %s; fresh: %s",
            path, len(shared.joints), len(student.skeleton), len(shared.limbs), len(student.skeleton.limbs),
            student.skeleton.name, filled.skeleton.name, ", ".join(shared.fresh) or "none",
        )  # fmt: skip
    return student


def save_student(student: PoseStudent, path: str | Path, notes: Mapping[str, str] | None = None) -> None:
    """Write a student as a checkpoint that :func:`load_student` reads. The file appears when it is complete.

    Args:
        student: the network
        path: the checkpoint; with the suffix ``.safetensors`` the same in that format
        notes: what else is noted in a file of safetensors, by name

    Raises:
        UserError: if the file cannot be written.
    """
    weights = {key: value.detach().cpu().contiguous() for key, value in student.state_dict().items()}
    if Path(path).suffix == ".safetensors":
        with replacing(Path(path)) as partial:
            save_file(weights, partial, {**(notes or {}), "student": json.dumps(student.config.to_dict())})
        return
    weights = {f"{_PREFIX}{key}": value for key, value in weights.items()}
    description = {"student": student.config.to_dict()}
    write_torch_file(Path(path), {"hyper_parameters": description, "state_dict": weights})


def _read(path: Path) -> Any:
    if not path.is_file():
        made = f"make pretrain STUDENT={path.parent.name}" if path.parent.parent == Path("checkpoints") else "online"
        raise UserError(f"checkpoint {path}: no such file; expected a checkpoint, as {made} writes it")
    return _read_safetensors(path) if path.suffix == ".safetensors" else read_torch_file(path, f"checkpoint {path}")


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Read such a file into what a checkpoint of ours holds."""
    try:
        with safe_open(path, "pt") as file:
            description = json.loads((file.metadata() or {}).get("student", "null"))
            weights = {f"{_PREFIX}{key}": file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"checkpoint {path}: damaged, or no file of safetensors ({error})") from error
    return {"hyper_parameters": {"student": description}, "state_dict": weights}


def _ours(contents: Any, path: Path) -> tuple[StudentConfig, dict[str, Any]]:
    if not isinstance(contents, dict) or not isinstance(contents.get("state_dict"), dict):
        raise UserError(f"checkpoint {path}: not a checkpoint of this project (no state_dict)")
    hyper_parameters = contents.get("hyper_parameters")
    values = hyper_parameters.get("student") if isinstance(hyper_parameters, dict) else None
    if not isinstance(values, dict):
        raise UserError(f"checkpoint {path}: not a checkpoint of this project (no description of a student)")
    weights = {str(key): value for key, value in contents["state_dict"].items()}
    if "fit" in values:  # TODO: drop when checkpoints/small/best.ckpt, which has this name, is trained again
        values = {"resize_mode" if key == "fit" else key: value for key, value in values.items()}
    try:
        config = StudentConfig.from_dict(values)
    except UserError as error:
        raise UserError(f"checkpoint {path}: {error}") from error
    return config, {key.removeprefix(_PREFIX): value for key, value in weights.items() if key.startswith(_PREFIX)}


def _filled(config: StudentConfig, weights: Mapping[str, Any], path: Path) -> PoseStudent:
    try:
        with torch.device("meta"):  # it takes memory only for what the file holds
            described = {key: value.shape for key, value in PoseStudent(config).state_dict().items()}
        if described != {key: getattr(value, "shape", None) for key, value in weights.items()}:
            raise TypeError("other tensors")
        student = PoseStudent(config)
        student.load_state_dict(weights)
    except UserError as error:
        raise UserError(f"checkpoint {path}: {error}") from error
    except (RuntimeError, TypeError, AttributeError) as error:  # torch's words for entries that are no tensors differ
        raise UserError(f"checkpoint {path}: its tensors are not those of a {config.backbone} student") from error
    if not is_sound(student):
        raise UserError(f"checkpoint {path}: holds weights that are NaN or infinite; expected finite ones")
    return student.eval()


def _phrase(config: StudentConfig, keys: list[str]) -> str:
    values = {key: getattr(config, key) for key in keys} | ({"skeleton": _named(config)} if "skeleton" in keys else {})
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _named(config: StudentConfig) -> str:
    skeleton = config.skeleton
    return (
        skeleton if isinstance(skeleton, str) else f"{skeleton['name']} ({len(skeleton['joints'])} joints of its own)"
    )
