"""Everything measured about an exported student: against the original, and for the terminal and the file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Group
from rich.table import Table
from torch import Tensor

from pose_oad.export.latency import Latency
from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.predict.comparison import without_nan
from pose_oad.students.exported import ExportMetadata
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.students.trt_pose import topology_file
from pose_oad.tracking.tables import facts_table


@dataclass(frozen=True)
class Parity:
    """How far two networks' maps are apart on the same frames: largest absolute differences, in the maps' own unit.

    A joint's peak is 1.
    """

    frames: int
    confidence_maps: float
    part_affinity_fields: float

    @property
    def largest(self) -> float:
        """The larger of the two differences; NaN if either is."""
        return float(torch.tensor([self.confidence_maps, self.part_affinity_fields]).max())

    def phrase(self, frames_from: str) -> str:
        """Say it in a line, with where the frames come from."""
        return (
            f"{self.confidence_maps:.1e} (confidence maps), {self.part_affinity_fields:.1e} (fields) on "
            f"{self.frames} frames of {frames_from}"
        )


def compare_maps(first: PoseNetwork, second: PoseNetwork, frames: Tensor, batch_size: int) -> Parity:
    """Compare two networks' maps of frames, uint8, shape (one or more, height, width, 3); NaN if a map has one."""
    differences = []
    for batch in frames.split(batch_size):
        pairs = zip(first.maps(batch), second.maps(batch), strict=True)
        differences.append(torch.stack([(one - other).abs().max() for one, other in pairs]))
    maps, fields = torch.stack(differences).amax(0).tolist()
    return Parity(len(frames), maps, fields)


@dataclass(frozen=True)
class ExportReport:
    """What an export left.

    Attributes:
        metadata: what the file says about itself
        parity: differences to the eager network; ``tolerance`` is the largest one allowed in fp32
        frames_from: where the frames of that comparison come from
        quantised: quantised convolutions and all convolutions; None where nothing was quantised
        errors: of the eager and the exported network on the stream, by name, px and shares; None where not measured
        errors_note: on how many frames, or why there are none
        machine: what the times, a row per network and batch size, depend on
    """

    file: str
    sha256: str
    size_mib: float
    metadata: ExportMetadata
    parity: Parity
    tolerance: float
    frames_from: str
    quantised: tuple[int, int] | None
    errors: dict[str, dict[str, float]] | None
    errors_note: str
    latency: Sequence[Latency]
    threads: int
    machine: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; a NaN becomes None."""
        return without_nan(asdict(self) | {"metadata": self.metadata.to_strings()})

    def tables(self) -> Group:
        """Lay it out for the terminal."""
        parts = [self._facts(), self._latency()]
        if self.errors is not None:
            parts.insert(1, self._errors())
        return Group(*parts)

    def _facts(self) -> Table:
        meta = self.metadata
        table = facts_table(self.file)
        table.add_row("student", f"{meta.name} ({meta.backbone}), {meta.skeleton.name}, {len(meta.skeleton)} joints")
        table.add_row("input", f"RGB uint8, (N, {meta.input_size[1]}, {meta.input_size[0]}, 3), {meta.resize_mode}")
        weights = meta.precision
        if self.quantised is not None:
            weights = f"int8 in {self.quantised[0]} of {self.quantised[1]} convolutions, else fp32"
        table.add_row("weights", f"{weights}; {self.size_mib:.1f} MiB")
        table.add_row("largest difference to eager", self.parity.phrase(self.frames_from))
        table.add_row("error on the stream", self.errors_note)
        return table

    def _errors(self) -> Table:
        table = _table("error on the stream", "network", "MPJPE, px", "PCK @ 3 px", "PCK @ 0.2 torso")
        for name, row in (self.errors or {}).items():
            shares = (f"{row[key]:.1%}" for key in ("pck_3px", "pck_02_torso"))
            table.add_row(name, f"{row['mpjpe_px']:.2f}", *shares)
        return table

    def _latency(self) -> Table:
        title = f"time per call, {self.threads} thread{'s' if self.threads > 1 else ''}"
        table = _table(title, "network", "batch", "median, ms", "95 %, ms", "calls", "remark")
        for row in self.latency:
            times = ("" if value is None else f"{value:.2f}" for value in (row.median_ms, row.p95_ms))
            table.add_row(row.runner, str(row.batch), *times, str(row.repeats or ""), row.note)
        return table


@dataclass(frozen=True)
class TrtPoseReport:
    """What an export to trt_pose's format left.

    Attributes:
        file: the state dict; its topology lies beside it
        backbone: torchvision's trunk
        resize_mode: how frames lay in the student's input; trt_pose itself squashes them
        parity: differences between the student and what was read back, on frames from ``frames_from``
    """

    file: str
    backbone: str
    skeleton: Skeleton
    resize_mode: ResizeMode
    parity: Parity
    frames_from: str

    def tables(self) -> Table:
        """Lay it out for the terminal."""
        table, channels = facts_table(self.file), (len(self.skeleton), 2 * len(self.skeleton.limbs))
        table.add_row("network", f"trt_pose.models.{self.backbone}_baseline_att{channels}")
        table.add_row("topology", f"{topology_file(Path(self.file))} ({self.skeleton.name})")
        mode, note = self.resize_mode, "; trt_pose's own programs squash frames"
        table.add_row("resize_mode", mode + note * (mode != "squash"))
        table.add_row("largest difference", self.parity.phrase(self.frames_from))
        return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in ("network", "remark") else "right", overflow="fold")
    return table
