"""Reading files that torch has written, whoever made them: tensors and plain values, never code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from pose_oad.errors import UserError


def read_torch_file(path: Path, called: str | None = None) -> Any:
    """Read what a file holds, to the CPU's memory.

    Args:
        path: an existing file
        called: how messages call it; its path where None

    Raises:
        UserError: if it is damaged, or holds anything but tensors and plain values.
    """
    called = called or str(path)
    try:
        if zipfile.is_zipfile(path):  # torch does not compare the checksums
            with zipfile.ZipFile(path) as archive:
                if (entry := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"the checksum of {entry} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{called}: damaged, or no torch file of tensors alone ({reason})") from error


def is_plain(value: object) -> TypeGuard[Tensor]:
    """Tell whether something is a dense tensor of real numbers that are in the file."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_complex() or value.is_quantized)
    )
