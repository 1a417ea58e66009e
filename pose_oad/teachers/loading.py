"""What teachers share that run a torch network of somebody else's: its device and its file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pose_oad.tracking.errors import UserError
from pose_oad.tracking.torch_file import read_torch_file


def find_device(name: str) -> torch.device:
    """Return a device that can be used here.

    Args:
        name: torch's name of it, as ``cpu`` or ``cuda:1``

    Raises:
        UserError: if torch knows no such device, or this machine has none.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise UserError(f"teacher.device={name}: expected a torch device of this machine, as cpu ({reason})") from error
    return device


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a PyTorch file; nothing but tensors and plain values is unpickled.

    Args:
        path: the file; a state dict, or one under ``model`` or ``state_dict`` in it

    Raises:
        UserError: if it is missing or damaged, or holds something else; it names the file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights")
    content = read_torch_file(path)
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = dict(content) if isinstance(content, Mapping) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"{path}: no weights: expected a dictionary of tensors")
    return tensors
