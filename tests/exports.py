"""Students written as ONNX files by the parts of the export command, without its measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import torch

from pose_oad.export.graph import Precision, add_metadata, quantise_int8, to_onnx
from pose_oad.poses.geometry import ResizeMode
from pose_oad.students import PoseStudent, StudentConfig, build_student
from pose_oad.students.exported import ExportMetadata


def random_student(size: tuple[int, int] = (64, 64), **values: str) -> PoseStudent:
    """A small student with random weights, whose statistics have seen something so that its maps are not all alike."""
    torch.manual_seed(0)
    config = {"name": "small", "backbone": "mobilenetv4_conv_small_050"} | values
    return build_student(StudentConfig(**config, input_size=size, sigma=0.05, foreground=5.0)).eval()  # type: ignore[arg-type]


def write_export(
    student: PoseStudent,
    path: Path,
    *,
    precision: Precision = "fp32",
    resize_mode: ResizeMode = "letterbox",
    int8: bool = False,
) -> Path:
    """Write a student as the export command does."""
    model: onnx.ModelProto = to_onnx(student, precision=precision)
    if int8:
        model, _ = quantise_int8(model)
    metadata = ExportMetadata.of(student, precision, "int8" if int8 else "none", "0" * 64, "0.1.0")
    add_metadata(model, replace(metadata, resize_mode=resize_mode))
    path.write_bytes(model.SerializeToString())
    return path


def random_frames(count: int, size: tuple[int, int] = (64, 64)) -> torch.Tensor:
    """Frames of noise, uint8, shape (count, height, width, 3)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, size[1], size[0], 3), dtype=torch.uint8, generator=generator)
