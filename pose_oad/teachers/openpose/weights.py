"""OpenPose's networks with the weights of a user's file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from torch import Tensor

from pose_oad.teachers.openpose.networks import NETWORKS, OpenPoseBody25, OpenPoseCoco18
from pose_oad.tracking.errors import RefusedError, UserError, require
from pose_oad.tracking.torch_file import is_plain, read_torch_file


def load_openpose(path: Path, network: str = "auto") -> OpenPoseCoco18 | OpenPoseBody25:
    """Build a network of OpenPose's with the weights of a file, in evaluation mode, on the CPU, without gradients.

    A PyTorch port may have put its own module names in front of the layers' names. Tensors that are not the network's
    are all named. ``network`` may be ``auto``: whichever the file holds.
    """
    read = _READERS.get(path.suffix.lower())
    require(path.is_file(), "path", path, "an existing file of OpenPose's weights")
    if read is None:
        raise RefusedError("path", path, f"a file of weights, *{', *'.join(_READERS)}")
    try:
        weights = read(path)
        for name, value in weights.items():
            if not value.isfinite().all():
                raise UserError(f"{path}: damaged: {name} holds numbers that are not finite")
        held = _network_of(weights, path)
        if network not in ("auto", held):
            raise UserError(f"{path}: holds the network {held}, not teacher.network={network}")
        return _fill(held, weights, path)
    except UserError as error:
        raise UserError(f"teacher.path={error}") from error
    except OSError as error:
        raise UserError(f"teacher.path={path}: cannot be read ({error.strerror})") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    content = read_torch_file(path)
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not tensors:
        raise UserError(f"{path}: no weights: expected a dictionary of tensors")
    weights: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = _layer_name(str(key))
        if not is_plain(value) or not value.is_floating_point():
            raise UserError(f"{path}: {key} is {type(value).__name__}: expected a dense tensor of floats")
        if name in weights:
            raise UserError(f"{path}: two tensors are called {name}")
        weights[name] = value.detach().float()
    return weights


def _network_of(weights: Mapping[str, Tensor], path: Path) -> str:
    """Tell which network a file holds, from the layers that the networks do not share."""
    names = {network: set(_shapes(network)) for network in NETWORKS}
    shared = set.intersection(*names.values())
    hits = {network: len((own - shared) & set(weights)) for network, own in names.items()}
    best = max(hits, key=lambda network: hits[network])
    if not hits[best]:
        some = ", ".join(list(weights)[:3])
        raise UserError(f"{path}: expected the weights of {' or '.join(NETWORKS)}; it holds {some}, …")
    return best


def _fill(network: str, weights: Mapping[str, Tensor], path: Path) -> OpenPoseCoco18 | OpenPoseBody25:
    shapes = _shapes(network)
    given = {name: _without_axes_of_one(value, shapes.get(name)) for name, value in weights.items()}
    wrong = [f"{name} is missing" for name in shapes if name not in given]
    wrong += [f"{name} is additional" for name in given if name not in shapes]
    wrong += [
        f"{name} has the shape {list(value.shape)}, not {list(shapes[name])}"
        for name, value in given.items()
        if value.shape != shapes.get(name, value.shape)
    ]
    if wrong:
        raise UserError(f"{path}: not the weights of {network}: {'; '.join(wrong)}")
    built = _empty(network)
    state = {key: given[_layer_name(key)].contiguous() for key in built.state_dict()}
    built.load_state_dict(state, assign=True)
    return built.requires_grad_(False).eval()


def _without_axes_of_one(value: Tensor, shape: torch.Size | None) -> Tensor:
    """Flatten what should be a vector: old Caffe files write vectors as blobs of four axes."""
    vector = shape is not None and len(shape) == 1 and value.numel() == max(value.shape, default=1)
    return value.flatten() if vector else value


def _shapes(network: str) -> dict[str, torch.Size]:
    return {_layer_name(key): value.shape for key, value in _empty(network).state_dict().items()}


def _empty(network: str) -> OpenPoseCoco18 | OpenPoseBody25:
    with torch.device("meta"):
        return NETWORKS[network]()


def _layer_name(key: str) -> str:
    """Return the last two parts of a tensor's name, as ``conv1_1.weight``."""
    return ".".join(key.split(".")[-2:])


# Message: (field, number, type). A field is repeated where its name ends in "*"; a type that is no scalar is a message.
_FIELDS = {
    "BlobShape": [("dim*", 1, "int64")],
    "BlobProto": [
        ("num", 1, "int32"), ("channels", 2, "int32"), ("height", 3, "int32"), ("width", 4, "int32"),
        ("data*", 5, "bytes"), ("shape", 7, "BlobShape"), ("double_data*", 8, "bytes"),
    ],
    "LayerParameter": [("name", 1, "bytes"), ("blobs*", 7, "BlobProto")],
    "V1LayerParameter": [("name", 4, "bytes"), ("blobs*", 6, "BlobProto")],
    "NetParameter": [("layers*", 2, "V1LayerParameter"), ("layer*", 100, "LayerParameter")],
}  # fmt: skip
_PACKAGE = "caffe"
_LARGEST = 2**31 - 1  # bytes of a message that protobuf reads
_MOST_AXES = 8
_ROLES = ("weight", "bias")  # of a layer's blobs, in order; a PReLU has its slopes alone


def read_caffemodel(path: Path) -> dict[str, Tensor]:
    """Read the weights of every layer that has some, ``layer`` of today's Caffe or ``layers`` of files before 2014.

    Returns:
        Tensors by ``<layer>.weight`` and ``<layer>.bias``, float32, in the shapes that the file states. The slopes of a
        PReLU are its ``weight``.
    """
    net = _parse(path)
    weights: dict[str, Tensor] = {}
    for layer in (*net.layer, *net.layers):
        name = layer.name.decode(errors="backslashreplace")
        for number, blob in enumerate(layer.blobs):
            key = f"{name}.{_ROLES[number] if number < len(_ROLES) else f'blob{number}'}"
            if key in weights:
                raise UserError(f"{path}: damaged, or no Caffe model: two layers are called {name!r}")
            weights[key] = _tensor(blob, f"{path}: damaged: {key}")
    if not weights:
        raise UserError(f"{path}: no Caffe model: no layer in it has weights")
    return weights


def _parse(path: Path) -> Any:
    size = path.stat().st_size
    if not 0 < size <= _LARGEST:
        raise UserError(f"{path}: no Caffe model: {size} bytes, expected 1 to {_LARGEST}")
    try:
        return _net_parameter().FromString(path.read_bytes())
    except DecodeError as error:
        raise UserError(f"{path}: damaged, cut short, or no Caffe model ({error})") from error


def _tensor(blob: Any, damaged: str) -> Tensor:
    """Make a tensor of a blob; ``damaged`` begins the message where its numbers do not fill its shape."""
    legacy = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else legacy
    data, dtype = (b"".join(blob.double_data), "<f8") if blob.double_data else (b"".join(blob.data), "<f4")
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if len(shape) > _MOST_AXES or min(shape, default=1) < 1 or len(data) != expected:
        raise UserError(f"{damaged}: {len(data)} bytes for the shape {shape[:_MOST_AXES]}, expected {expected}")
    return torch.from_numpy(np.frombuffer(data, dtype).astype(np.float32)).reshape(shape)


def _net_parameter() -> Any:
    file = FileDescriptorProto(name="caffe_weights.proto", package=_PACKAGE, syntax="proto2")
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            field = described.field.add(name=name.rstrip("*"), number=number)
            field.label = FieldDescriptorProto.LABEL_REPEATED if "*" in name else FieldDescriptorProto.LABEL_OPTIONAL
            if kind in _FIELDS:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.NetParameter"))


_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".caffemodel": read_caffemodel,
    ".pth": _read_torch,
    ".pt": _read_torch,
}
