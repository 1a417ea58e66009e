"""Weights out of a Caffe model file, which is one protobuf message ``NetParameter``.

Only the fields that hold weights are declared, with the numbers they have in Caffe's ``caffe.proto``; the others are
skipped. Packed numbers are declared as bytes, which is what they are on the wire: NumPy reads them as they are.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from torch import Tensor

from pose_oad.tracking.errors import UserError

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

    Raises:
        UserError: if the file is no Caffe model, is damaged, or names a layer twice.
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
    """Read the message that the file is."""
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
        raise UserError(
            f"{damaged} has the shape {shape[:_MOST_AXES]} and {len(data)} bytes of numbers, expected {expected}"
        )
    return torch.from_numpy(np.frombuffer(data, dtype).astype(np.float32)).reshape(shape)


def _net_parameter() -> Any:
    """Build the class of the file's message."""
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
