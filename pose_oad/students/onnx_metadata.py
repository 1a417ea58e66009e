"""What an exported student says about itself: plain strings in the ONNX file's ``metadata_props``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students.config import STRIDE
from pose_oad.tracking.errors import UserError

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
    """What somebody with nothing but the file needs to know.

    Attributes:
        name: name of the student
        backbone: its timm backbone
        skeleton: joint set and limbs of the maps, in channel order
        input_size: width and height of the frames it takes, px
        resize_mode: how an original frame was laid into that size in training, ``letterbox`` or ``squash``
        sigma: spread of a joint in the maps it was trained on, fraction of the map's width
        foreground: additional weight of a joint's cells in its training; a confidence is ``m / (1 + foreground -
            foreground * m)`` where a map's maximum is ``m``
        precision: of the weights, ``fp32`` or ``fp16``
        quantised: ``int8`` where weights have been quantised, else ``none``
        checkpoint_sha256: SHA-256 of the checkpoint it was made from, hexadecimal
        version: of this project
        channels: order of the colours in the frames
    """

    name: str
    backbone: str
    skeleton: Skeleton
    input_size: tuple[int, int]
    resize_mode: ResizeMode
    sigma: float
    foreground: float
    precision: str
    quantised: str
    checkpoint_sha256: str
    version: str
    channels: str = "rgb"

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
