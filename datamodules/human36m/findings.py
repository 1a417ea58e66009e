"""What the doctor found, as a table and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from rich.table import Table
from rich.text import Text

from datamodules.human36m.names import RecordingName
from datamodules.human36m.recordings import Original, PoseKind

FindingKind = Literal["missing", "odd", "damaged", "left out"]
_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing."""

    #: ``missing``, ``odd`` (usable all the same), ``damaged`` (not usable) or ``left out`` (on purpose)
    kind: FindingKind
    subject: str  #: whom it is about
    where: str  #: recording, sequence, or file
    what: str  #: in a few words


@dataclass(frozen=True)
class Examination:
    """What is known of one recording."""

    name: RecordingName  #: of the recording
    recording: Original  #: the recording itself
    usable: bool  #: whether it can be streamed
    findings: tuple[Finding, ...] = ()  #: what is worth knowing about it
    kinds: tuple[PoseKind, ...] = ()  #: poses that can be read
    frames: int = 0  #: frames that have a 2-D pose
    frame_size: tuple[int, int] = (0, 0)  #: width and height, px


@dataclass
class Report:
    """What the doctor found in a folder."""

    subjects: tuple[str, ...]  #: those asked for, in this order
    examined: list[Examination] = field(default_factory=list)  #: every recording found of them
    general: list[Finding] = field(default_factory=list)  #: findings that are not about one recording

    @property
    def usable(self) -> list[Examination]:
        """Recordings that can be streamed."""
        return [examination for examination in self.examined if examination.usable]

    @property
    def findings(self) -> list[Finding]:
        """Everything found, in the order of the subjects."""
        found = [*self.general, *(finding for examination in self.examined for finding in examination.findings)]
        places = {subject: place for place, subject in enumerate(self.subjects)}
        return sorted(found, key=lambda finding: places.get(finding.subject, -1))

    def add(self, findings: Sequence[Finding]) -> None:
        """Add what was found of a subject, or later."""
        self.general += findings

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "usable": [examination.name.key for examination in self.usable],
            "frames": sum(examination.frames for examination in self.usable),
            "findings": [asdict(finding) for finding in self.findings],
        }

    def table(self) -> Table:
        """Lay the numbers out for the terminal, a row for each subject."""
        table = Table(title="Human3.6M", caption="found: sequences × cameras")
        for column in ("subject", "found", "usable", "frames", *_KINDS):
            table.add_column(column, justify="left" if column == "subject" else "right", no_wrap=True)
        for subject in self.subjects:
            mine = [examination for examination in self.examined if examination.name.subject == subject]
            usable = [examination for examination in mine if examination.usable]
            counts = Counter(finding.kind for finding in self.findings if finding.subject == subject)
            sequences, cameras = ({getattr(e.name, part) for e in mine} for part in ("title", "camera"))
            table.add_row(
                subject,
                f"{len(sequences)} × {len(cameras)}",
                f"{len(usable)} of {len(mine)}",
                f"{sum(examination.frames for examination in usable):,}",
                *(str(counts[kind]) for kind in _KINDS),
            )
        return table

    def details(self, most: int) -> Table:
        """Lay out so many findings for the terminal, what is damaged first."""
        order: tuple[FindingKind, ...] = ("damaged", "missing", "odd", "left out")
        found = sorted(self.findings, key=lambda finding: order.index(finding.kind))
        rest = len(found) - most
        table = Table(caption=f"and {rest} more" if rest > 0 else None)
        for column in ("finding", "where", "what"):
            table.add_column(column, overflow="fold")
        for finding in found[:most]:
            table.add_row(*map(Text, (finding.kind, finding.where, finding.what)))  # brackets in them are no markup
        return table
