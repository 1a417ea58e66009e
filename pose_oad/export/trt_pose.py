"""A student as NVIDIA's trt_pose keeps its networks: a state dict, and the topology that says what its channels are."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.table import Table

from pose_oad.export.compare import Parity
from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students import PoseStudent
from pose_oad.students.trt_pose import to_trt_pose, topology, topology_file


@dataclass(frozen=True)
class TrtPoseReport:
    """What an export to trt_pose's format left.

    Attributes:
        file: the state dict; its topology lies beside it
        backbone: torchvision's trunk
        skeleton: joints and limbs of its channels
        resize_mode: how frames lay in the student's input; trt_pose itself squashes them
        parity: differences between the student and what was read back
        frames_from: where the frames of that comparison come from
    """

    file: str
    backbone: str
    skeleton: Skeleton
    resize_mode: ResizeMode
    parity: Parity
    frames_from: str

    def tables(self) -> Table:
        """Lay it out for the terminal."""
        table, channels = Table(title=self.file, show_header=False), (len(self.skeleton), 2 * len(self.skeleton.limbs))
        table.add_row("network", f"trt_pose.models.{self.backbone}_baseline_att{channels}")
        table.add_row("topology", f"{topology_file(Path(self.file))} ({self.skeleton.name})")
        table.add_row(
            "resize_mode",
            self.resize_mode
            if self.resize_mode == "squash"
            else f"{self.resize_mode}; trt_pose's own programs squash frames",
        )
        table.add_row("largest difference", self.parity.phrase(self.frames_from))
        return table


def write_trt_pose(student: PoseStudent, path: Path) -> None:
    """Write a student's state dict in trt_pose's format, and its topology beside it.

    Args:
        student: the network
        path: the state dict; :func:`topology_file` names the other

    Raises:
        UserError: if trt_pose has no such network.
        OSError: if a file cannot be written.
    """
    content = io.BytesIO()  # torch has errors of its own for a file that it cannot write
    torch.save(to_trt_pose(student), content)
    path.write_bytes(content.getbuffer())
    topology_file(path).write_text(json.dumps(topology(student)) + "\n", encoding="utf-8")
