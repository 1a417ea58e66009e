"""Everything measured about an exported student, for the terminal and for the JSON file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table

from pose_oad.export.compare import Parity
from pose_oad.export.latency import Latency
from pose_oad.predict.comparison import without_nan
from pose_oad.students.exported import ExportMetadata


@dataclass(frozen=True)
class ExportReport:
    """What an export left.

    Attributes:
        file: the ONNX file
        sha256: its SHA-256, hexadecimal
        size_mib: its size, MiB
        metadata: what the file says about itself
        parity: differences to the eager network
        tolerance: the largest difference allowed in fp32
        frames_from: where the frames of that comparison come from
        quantised: quantised convolutions and all convolutions; None where nothing was quantised
        errors: of the eager and the exported network on the stream, by name, px and shares; None where not measured
        errors_note: on how many frames, or why there are none
        latency: times, a row per network and batch size
        threads: threads of each network
        machine: what the times depend on
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
        values = asdict(self) | {"metadata": self.metadata.to_strings()}
        if self.errors is not None:
            values["errors"] = {name: without_nan(row) for name, row in self.errors.items()}
        return values

    def tables(self) -> Group:
        """Lay it out for the terminal."""
        parts = [self._facts(), self._latency()]
        if self.errors is not None:
            parts.insert(1, self._errors())
        return Group(*parts)

    def _facts(self) -> Table:
        meta = self.metadata
        table = Table(title=self.file, show_header=False)
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


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in ("network", "remark") else "right")
    return table
