"""OpenPose's networks with the weights of a user's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pose_oad.teachers.openpose.caffemodel import read_caffemodel
from pose_oad.teachers.openpose.networks import NETWORKS, OpenPoseBody25, OpenPoseCoco18
from pose_oad.tracking.errors import RefusedError, UserError, require
from pose_oad.tracking.torch_file import is_plain, read_torch_file


def load_openpose(path: Path, network: str = "auto") -> OpenPoseCoco18 | OpenPoseBody25:
    """Build a network of OpenPose's with the weights of a file.

    Args:
        path: ``.caffemodel``, or a ``.pth`` or ``.pt`` file of tensors; a PyTorch port may have put its own module
            names in front of the layers' names
        network: ``coco-18``, ``body-25``, or ``auto``: whichever the file holds

    Returns:
        The network in evaluation mode, on the CPU; its weights want no gradient.

    Raises:
        UserError: if the file is missing, damaged or of another kind, or holds other tensors than the network has; all
            of them are named.
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
    """Read the tensors of a PyTorch file by ``<layer>.weight`` and ``<layer>.bias``."""
    content = read_torch_file(path)
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not tensors:
        raise UserError(f"{path}: no weights: expected a dictionary of tensors")
    weights: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = _layer_name(str(key))
        if not is_plain(value) or not value.is_floating_point():
            raise UserError(
                f"{path}: {key} is {type(value).__name__}: expected a dense tensor of floating-point numbers"
            )
        if name in weights:
            raise UserError(f"{path}: two tensors are called {name}")
        weights[name] = value.detach().float()
    return weights


_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    ".caffemodel": read_caffemodel,
    ".pth": _read_torch,
    ".pt": _read_torch,
}


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
    """Build a network of weights that are just its own."""
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
    """Return the shapes of a network's tensors by layer."""
    return {_layer_name(key): value.shape for key, value in _empty(network).state_dict().items()}


def _empty(network: str) -> OpenPoseCoco18 | OpenPoseBody25:
    """Build a network without memory for its weights."""
    with torch.device("meta"):
        return NETWORKS[network]()


def _layer_name(key: str) -> str:
    """Return the last two parts of a tensor's name, as ``conv1_1.weight``."""
    return ".".join(key.split(".")[-2:])
