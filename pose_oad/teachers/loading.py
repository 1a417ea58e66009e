"""What teachers share that run a torch network of somebody else's: its device and its file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pose_oad.tracking.errors import UserError
from pose_oad.tracking.torch_file import read_torch_file


def find_device(name: str) -> torch.device:
    """Return a torch device (``cpu``, ``cuda:1``) that can be used here; refuse any other."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise UserError(f"teacher.device={name}: expected a torch device of this machine, as cpu ({reason})") from error
    return device


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a PyTorch file's tensors, its whole or under ``model`` or ``state_dict``; nothing else is unpickled."""
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
