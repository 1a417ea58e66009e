"""What kept labels are found by: the video they are of, and the weights and settings of the teacher that made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pose_oad.tracking.errors import UserError

# Settings that change how fast a teacher works, not what it says.
_SPEED = ("every", "batch_size", "threads", "device")


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a video's content, whatever its name; of a folder, of its files and their names."""
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            parts = [(file.relative_to(path).as_posix(), _file_hash(file)) for file in files]
            return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return _file_hash(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def settings_key(settings: Mapping[str, Any]) -> str:
    """Describe a teacher, by its configuration in plain values, as JSON that is the same for the same labels.

    A value that names an existing file or folder stands for the content, so that changed weights make another teacher
    and moved ones do not.
    """
    return json.dumps(_described(settings), sort_keys=True)


def _described(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _described(part) for key, part in value.items() if key not in _SPEED}
    if isinstance(value, list | tuple):
        return [_described(part) for part in value]
    if isinstance(value, str) and value and Path(value).exists():
        return _weights_hash(Path(value))
    return value


def _weights_hash(path: Path) -> str:
    """Hash a file of weights, with the files in which an ONNX network may keep its tensors."""
    if path.suffix != ".onnx":
        return content_hash(path)
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (DecodeError, OSError):  # whoever runs it will say what is wrong with it
        return content_hash(path)
    files = {ExternalDataInfo(tensor).location for tensor in graph.initializer if uses_external_data(tensor)}
    return " ".join(content_hash(file) for file in (path, *(path.parent / name for name in sorted(files))))


def _file_hash(path: Path) -> str:
    facts = path.stat()
    return _hash_of(path.resolve(), facts.st_size, facts.st_mtime_ns)


@cache
def _hash_of(path: Path, size: int, changed_ns: int) -> str:
    """Hash a file once as long as it looks the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
