"""A student in an ONNX file that this project exported, and what the file says of itself in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students.config import STRIDE
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.students.onnx_session import ORT_ERRORS, describe, first_line, open_session
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import Count, check_value

if TYPE_CHECKING:
    from pose_oad.students.network import PoseStudent

#: The version of the layout below, under the key ``pose_oad.format``.
FORMAT = "1"
#: Names of the graph's input and outputs.
FRAMES, CONFIDENCE_MAPS, PART_AFFINITY_FIELDS = "frames", "confidence_maps", "part_affinity_fields"
_PREFIX = "pose_oad."
_TEXTS = ("name", "backbone", "resize_mode", "precision", "quantised", "checkpoint_sha256", "version", "channels")


@dataclass(frozen=True)
class ExportMetadata:
    """What somebody with nothing but the file needs to know."""

    name: str  #: name of the student
    backbone: str  #: its timm backbone
    skeleton: Skeleton  #: joint set and limbs of the maps, in channel order
    input_size: tuple[int, int]  #: width and height of the frames it takes, px
    resize_mode: ResizeMode  #: how an original frame was laid into that size in training, ``letterbox`` or ``squash``
    sigma: float  #: spread of a joint in the maps it was trained on, fraction of the map's width
    #: additional weight of a joint's cells in its training; a confidence is ``m / (1 + foreground - foreground * m)``
    #: where a map's maximum is ``m``
    foreground: float
    precision: str  #: of the weights, ``fp32`` or ``fp16``
    quantised: str  #: ``int8`` where weights have been quantised, else ``none``
    checkpoint_sha256: str  #: SHA-256 of the checkpoint it was made from, hexadecimal
    version: str  #: of this project
    channels: str = "rgb"  #: order of the colours in the frames

    @classmethod
    def of(
        cls, student: PoseStudent, precision: str, quantised: str, checkpoint_sha256: str, version: str
    ) -> ExportMetadata:
        """Describe an export of a student."""
        config = student.config
        return cls(
            config.name, config.backbone, student.skeleton, config.input_size, config.resize_mode, config.sigma,
            config.foreground, precision, quantised, checkpoint_sha256, version,
        )  # fmt: skip

    @property
    def map_size(self) -> tuple[int, int]:
        """Width and height of the maps, cells."""
        return self.input_size[0] // STRIDE, self.input_size[1] // STRIDE

    def to_strings(self) -> dict[str, str]:
        """Return it as the file keeps it: joints and limbs (pairs of joint names) as JSON lists."""
        values = {key: str(getattr(self, key)) for key in _TEXTS} | {
            "format": FORMAT,
            "skeleton": self.skeleton.name,
            "joints": json.dumps(self.skeleton.joints),
            "limbs": json.dumps(self.skeleton.limb_names),
            **{key: json.dumps(getattr(self, key)) for key in ("input_size", "sigma", "foreground")},
        }
        return {f"{_PREFIX}{key}": value for key, value in values.items()}

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], what: str) -> ExportMetadata:
        """Read a file's metadata back; ``what`` is how messages call the file."""
        values = {key.removeprefix(_PREFIX): value for key, value in strings.items() if key.startswith(_PREFIX)}
        if values.get("format") != FORMAT:
            there = f"pose_oad.format={values['format']}" if "format" in values else "no metadata of this project"
            raise UserError(f"{what}: {there}; expected an ONNX file that `make export` wrote, of format {FORMAT}")
        try:
            joints = tuple(json.loads(values["joints"]))
            limbs = tuple((joints.index(start), joints.index(end)) for start, end in json.loads(values["limbs"]))
            width, height = json.loads(values["input_size"])
            return cls(
                skeleton=Skeleton(values["skeleton"], joints, limbs),
                input_size=(int(width), int(height)),
                sigma=float(values["sigma"]),
                foreground=float(values["foreground"]),
                **{key: values[key] for key in _TEXTS},  # type: ignore[arg-type]
            )
        except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise UserError(f"{what}: damaged metadata ({error}); export the student again") from error


def is_exported(path: Path) -> bool:
    """Return True if a file says that this project exported it, without building its network."""
    try:
        model = onnx.load(str(path), load_external_data=False)
        return f"{_PREFIX}format" in {entry.key for entry in model.metadata_props}
    except (DecodeError, OSError, UnicodeDecodeError):
        return False


class ExportedStudent(PoseNetwork):
    """Run an exported student with onnxruntime, on a GPU where it has one. It cannot be trained."""

    config: ExportMetadata

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._what, path = f"exported student {path}", Path(path)
        check_value(Count | None, threads, "threads")
        self._session = open_session(path, threads, self._what)
        try:
            strings = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise UserError(f"{self._what}: damaged metadata ({error}); export the student again") from error
        self.config = ExportMetadata.from_strings(strings, self._what)
        self.skeleton, self.name = self.config.skeleton, f"{self.config.name} ({path.name})"
        self._check_graph()

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some frames, on the CPU; see :meth:`PoseNetwork.maps`."""
        width, height = self.input_size
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1:] != (height, width, 3):
            raise ValueError(f"frames {frames.dtype} {tuple(frames.shape)}: expected uint8 (n, {height}, {width}, 3)")
        if not len(frames):  # a batch of nothing is more than some of its operations can do
            (columns, rows), limbs = self.map_size, len(self.skeleton.limbs)
            return torch.zeros(0, len(self.skeleton), rows, columns), torch.zeros(0, limbs, 2, rows, columns)
        names = [CONFIDENCE_MAPS, PART_AFFINITY_FIELDS]
        try:
            maps, fields = self._session.run(names, {FRAMES: frames.cpu().contiguous().numpy()})
        except ORT_ERRORS as error:
            raise UserError(f"{self._what}: cannot be run here; {first_line(error)}") from error
        return torch.from_numpy(maps), torch.from_numpy(fields)

    def _check_graph(self) -> None:
        width, height = self.input_size
        inputs = {node.name: (node.type, list(node.shape[1:])) for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        known = inputs == {FRAMES: ("tensor(uint8)", [height, width, 3])}
        if not known or outputs != {CONFIDENCE_MAPS, PART_AFFINITY_FIELDS}:
            raise UserError(
                f"{self._what}: expected an input {FRAMES} [N, {height}, {width}, 3] of uint8 and the outputs "
                f"{CONFIDENCE_MAPS} and {PART_AFFINITY_FIELDS}; it has {describe(self._session)}"
            )
