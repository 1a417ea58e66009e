"""OpenPose's networks as its Caffe definitions list them, and files of random weights for them.

Written beside, not from, the code under test: a list of layers by the names of their tops, as in a prototxt.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper


class Layer(NamedTuple):
    """One layer; ``kind`` is conv, relu, prelu, pool or concat."""

    name: str
    kind: str
    bottoms: tuple[str, ...]
    inputs: int = 0
    outputs: int = 0
    kernel: int = 0


Weights = dict[str, list[np.ndarray]]


def _conv(name: str, bottom: str, inputs: int, outputs: int, kernel: int, after: str) -> list[Layer]:
    layers = [Layer(name, "conv", (bottom,), inputs, outputs, kernel)]
    if after:
        layers.append(Layer(name.replace("conv", after), after, (name,), outputs=outputs))
    return layers


def _vgg(last: str) -> list[Layer]:
    sizes = [
        ("conv1_1", 3, 64), ("conv1_2", 64, 64), ("pool1", 0, 0),
        ("conv2_1", 64, 128), ("conv2_2", 128, 128), ("pool2", 0, 0),
        ("conv3_1", 128, 256), ("conv3_2", 256, 256), ("conv3_3", 256, 256), ("conv3_4", 256, 256), ("pool3", 0, 0),
        ("conv4_1", 256, 512), ("conv4_2", 512, 512), ("conv4_3_CPM", 512, 256), ("conv4_4_CPM", 256, 128),
    ]  # fmt: skip
    layers: list[Layer] = []
    for name, inputs, outputs in sizes:
        bottom = layers[-1].name if layers else "image"
        if name.startswith("pool"):
            layers.append(Layer(name, "pool", (bottom,)))
        else:
            after = last if name in ("conv4_2", "conv4_3_CPM", "conv4_4_CPM") else "relu"
            layers += _conv(name, bottom, inputs, outputs, 3, after)
    return layers


def coco_18() -> list[Layer]:
    layers = _vgg("relu")
    trunk = seen = layers[-1].name
    for stage in range(1, 7):
        ends = []
        for branch, maps in (("L1", 38), ("L2", 19)):
            if stage == 1:
                names = [f"conv5_{i}_CPM_{branch}" for i in range(1, 6)]
                shapes = [(128, 128, 3), (128, 128, 3), (128, 128, 3), (128, 512, 1), (512, maps, 1)]
            else:
                names = [f"Mconv{i}_stage{stage}_{branch}" for i in range(1, 8)]
                shapes = [(185, 128, 7), *[(128, 128, 7)] * 4, (128, 128, 1), (128, maps, 1)]
            bottom = seen
            for name, shape in zip(names, shapes, strict=True):
                layers += _conv(name, bottom, *shape, after="" if name == names[-1] else "relu")
                bottom = layers[-1].name
            ends.append(bottom)
        seen = f"concat_stage{stage + 1}"
        layers.append(Layer(seen, "concat", (*ends, trunk)))
    return layers[:-1]


def body_25() -> list[Layer]:
    layers = _vgg("prelu")
    trunk = layers[-1].name
    fields = ""
    for stage in range(4):
        fields = _dense(layers, f"stage{stage}_L2", (trunk, fields) if stage else (trunk,), 180 if stage else 128, 52)
    first = _dense(layers, "stage0_L1", (trunk, fields), 180, 26)
    _dense(layers, "stage1_L1", (trunk, first, fields), 206, 26)
    return layers


def _dense(layers: list[Layer], stage: str, seen: tuple[str, ...], inputs: int, maps: int) -> str:
    width, hidden = (96, 256) if "stage0" in stage else (128, 512)
    for block in range(1, 6):
        bottom = seen[0] if len(seen) == 1 else f"concat{block}_{stage}"
        if len(seen) > 1:
            layers.append(Layer(bottom, "concat", seen))
        tops = []
        for part in range(3):
            name = f"Mconv{block}_{stage}_{part}"
            layers += _conv(name, bottom, inputs if part == 0 else width, width, 3, "prelu")
            bottom = layers[-1].name
            tops.append(bottom)
        seen, inputs = tuple(tops), 3 * width
    layers.append(Layer(f"concat6_{stage}", "concat", seen))
    layers += _conv(f"Mconv6_{stage}", f"concat6_{stage}", inputs, hidden, 1, "prelu")
    layers += _conv(f"Mconv7_{stage}", layers[-1].name, hidden, maps, 1, "")
    return layers[-1].name


def random_weights(layers: Sequence[Layer], seed: int = 0) -> Weights:
    """Weights that keep the size of what goes through them, by layer: weight and bias, or slopes."""
    generator = np.random.default_rng(seed)
    weights: Weights = {}
    for layer in layers:
        if layer.kind == "conv":
            shape = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
            values = generator.standard_normal(shape, dtype=np.float32) * np.sqrt(2 / np.prod(shape[1:]))
            bias = generator.standard_normal(layer.outputs, dtype=np.float32) * 0.1
            weights[layer.name] = [values.astype(np.float32), bias.astype(np.float32)]
        elif layer.kind == "prelu":
            weights[layer.name] = [generator.uniform(0, 0.5, layer.outputs).astype(np.float32)]
    return weights


def run_onnx(layers: Sequence[Layer], weights: Weights, image: np.ndarray) -> dict[str, np.ndarray]:
    """Run the layers in onnxruntime; return what every one of them puts out."""
    nodes, constants = [], []
    for layer in layers:
        names = [f"{layer.name}.{i}" for i in range(len(weights.get(layer.name, ())))]
        values = list(weights.get(layer.name, ()))
        if layer.kind == "prelu":
            values = [values[0].reshape(-1, 1, 1)]
        constants += [onnx.numpy_helper.from_array(v, n) for v, n in zip(values, names, strict=True)]
        operator, options = {
            "conv": ("Conv", {"pads": [layer.kernel // 2] * 4}),
            "relu": ("Relu", {}),
            "prelu": ("PRelu", {}),
            "pool": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            "concat": ("Concat", {"axis": 1}),
        }[layer.kind]
        nodes.append(helper.make_node(operator, [*layer.bottoms, *names], [layer.name], **options))
    outputs = [helper.make_tensor_value_info(layer.name, TensorProto.FLOAT, None) for layer in layers]
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, image.shape)
    graph = helper.make_graph(nodes, "network", [taken], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), plain, providers=["CPUExecutionProvider"])
    return dict(zip([layer.name for layer in layers], session.run(None, {"image": image}), strict=True))


def write_caffemodel(path: Path, weights: Weights, *, old: bool = False, double: bool = False) -> Path:
    """Write weights as Caffe does; ``old`` is the layout before 2014: ``layers``, blobs of four axes."""
    net = [_field(1, b"random weights"), _field(2 if old else 100, _layer(b"data", [], old, double))]
    net += [_field(2 if old else 100, _layer(name.encode(), blobs, old, double)) for name, blobs in weights.items()]
    path.write_bytes(b"".join(net))
    return path


def _layer(name: bytes, blobs: Sequence[np.ndarray], old: bool, double: bool) -> bytes:
    parts = [_field(4 if old else 1, name), b"\x28\x04" if old else _field(2, b"Convolution")]
    return b"".join([*parts, *(_field(6 if old else 7, _blob(blob, old, double)) for blob in blobs)])


def _blob(values: np.ndarray, old: bool, double: bool) -> bytes:
    data = _field(8, values.astype("<f8").tobytes()) if double else _field(5, values.astype("<f4").tobytes())
    if not old:
        return _field(7, _field(1, b"".join(map(_varint, values.shape)))) + data
    sides = (1,) * (4 - values.ndim) + values.shape
    return b"".join(_varint(number << 3) + _varint(side) for number, side in enumerate(sides, start=1)) + data


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out += struct.pack("B", value & 127 | 128)
        value >>= 7
    return bytes(out + struct.pack("B", value))


def to_tensors(weights: Weights) -> dict[str, torch.Tensor]:
    """Name weights as PyTorch files do: ``conv1_1.weight``."""
    return {
        f"{layer}.{role}": torch.from_numpy(value)
        for layer, values in weights.items()
        for role, value in zip(("weight", "bias"), values, strict=False)
    }


def hollow_tensors(layers: Sequence[Layer], value: float = 0.0) -> dict[str, torch.Tensor]:
    """Tensors of the right shapes that all hold one number, and take no room in a file."""
    tensors = {}
    for layer in layers:
        if layer.kind == "conv":
            shape = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
            tensors[f"{layer.name}.weight"] = torch.full((1,), value).expand(shape)
            tensors[f"{layer.name}.bias"] = torch.full((1,), value).expand(layer.outputs)
        elif layer.kind == "prelu":
            tensors[f"{layer.name}.weight"] = torch.full((1,), value).expand(layer.outputs)
    return tensors
