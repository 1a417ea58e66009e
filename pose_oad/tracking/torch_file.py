"""Files of torch: those we write appear whole, and those we read, whoever made them, hold no code."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from pose_oad.tracking.errors import UserError, reason_of
from pose_oad.tracking.files import replacing

_MOST_REPEATED = 2**28  # bytes


def read_torch_file(path: Path, called: str | None = None) -> Any:
    """Read what an existing file holds, to the CPU's memory; messages call it by its path, or as they are told.

    Raises:
        UserError: if it is damaged, or holds anything but tensors and plain values.
    """
    called = called or str(path)
    try:
        if zipfile.is_zipfile(path):  # torch does not compare the checksums
            with zipfile.ZipFile(path) as archive:
                claimed = sum(entry.file_size for entry in archive.infolist())  # torch compresses nothing
                if claimed > path.stat().st_size:
                    raise zipfile.BadZipFile(f"{claimed} bytes are packed into {path.stat().st_size}")
                if (entry := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"the checksum of {entry} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
        _check_sizes(content)
        return content
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{called}: damaged, or no torch file of tensors alone ({reason_of(error, 120)})") from error


def _check_sizes(content: object) -> None:
    """Refuse tensors that repeat the numbers of a file until they fill the memory."""
    waiting, seen, repeated = [content], set[int](), 0
    while waiting:
        value = waiting.pop()
        if id(value) in seen:  # lists that hold one another many times over
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set):
            waiting += value
        elif is_plain(value):
            repeated += max(0, value.nbytes - value.untyped_storage().nbytes())
            if repeated > _MOST_REPEATED:
                raise ValueError(f"a tensor of the shape {tuple(value.shape)} that repeats its numbers")


def write_torch_file(path: Path, contents: Mapping[str, Any]) -> None:
    """Write tensors and plain values; the file appears, or replaces the one before, when it is complete.

    Raises:
        UnwritableError: if it cannot be written, as on a full disk.
    """
    # Through a file of Python's: its error says what torch's own writer does not.
    with replacing(path) as partial, partial.open("wb") as file:
        torch.save(dict(contents), file)
        file.flush()
        os.fsync(file.fileno())


def is_plain(value: object) -> TypeGuard[Tensor]:
    """Tell whether something is a dense tensor of real numbers that are in the file."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not (value.is_complex() or value.is_quantized)
    )
