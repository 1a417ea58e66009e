"""Make tables, figures and one HTML page of the runs in a tracking store.

Everything is read from the store: parameters, tags, final metrics and ledgers. Runs that differ in nothing but their
seed become one row, and every strategy is compared with a baseline at the same rate, seed by seed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig

from pose_oad.cli.command import plain
from pose_oad.tracking.errors import check

if TYPE_CHECKING:
    from pose_oad.report.layout import Table
    from pose_oad.report.material import Material
    from pose_oad.report.store import Selection

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """A report that has been written.

    Attributes:
        folder: where it lies
        selection: the runs it was asked for
        material: their groups
        tables: its tables
    """

    folder: Path
    selection: Selection
    material: Material
    tables: list[Table]


def main(cfg: DictConfig) -> Report:
    """Write a report, show its main table, and keep its files with the study's run.

    Args:
        cfg: ``conf/report.yaml`` with overrides

    Raises:
        UserError: if a name is unknown, the store cannot be read or holds no finished run, or the folder cannot be
            written; nothing has been written then.
    """
    from pose_oad.report.build import build_report
    from pose_oad.report.material import gather
    from pose_oad.report.store import Ledgers, load_runs
    from pose_oad.tracking.store import open_store

    confidence, error = cfg.confidence, None if cfg.error is None else str(cfg.error)
    number = isinstance(confidence, int | float) and not isinstance(confidence, bool)
    check(number and 0 < confidence < 1, "confidence", confidence, "a level in (0, 1), as 0.95")
    named = error is None or error.endswith("_px")
    check(named, "error", error, "a final metric whose name ends in _px, as mpjpe_px, or null")
    study = None if cfg.study_name is None else str(cfg.study_name)
    client = open_store(str(cfg.tracking.uri))
    selection = load_runs(client, study, _names("experiments", cfg.experiments), _names("runs", cfg.runs))
    ledgers = Ledgers(client)
    material = gather(selection, error, str(cfg.baseline), float(confidence), ledgers)
    folder = Path(cfg.folder) if cfg.folder else Path("reports") / _file_name(study or "all")
    title = f"Study {study}" if study else "Runs of online active distillation"
    tables = build_report(folder, title, selection, material, plain(cfg))
    if selection.parent is not None:
        client.log_artifacts(selection.parent.run_id, str(folder), "report")
    if ledgers.missing:
        _log.warning("%d runs have no ledger and take no part in figures over the stream", len(ledgers.missing))
    report = Report(folder, selection, material, tables)
    show(report)
    return report


def show(report: Report) -> None:
    """Print the main table's most important columns, and where the files are."""
    from rich.console import Console

    from pose_oad.report.layout import to_rich
    from pose_oad.report.tables import MAIN_COLUMNS, key_names

    console = Console()
    for table in report.tables[:1]:
        groups = report.material.online or report.material.offline
        error = report.material.error
        console.print(to_rich(table.select(*key_names(groups), error, f"test_{error}", *MAIN_COLUMNS)))
    for said in (report.selection.left_out_text(), report.material.superseded_text()):
        if said:
            console.print(said, markup=False, highlight=False)
    console.print(f"report: {report.folder / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def _names(key: str, value: object) -> Sequence[str] | None:
    """Read one name or a list of names; None for all."""
    if value is None:
        return None
    if isinstance(value, ListConfig):
        check(len(value) > 0, key, value, "a name, a list of names, or null for all")
        return [str(name) for name in value]
    return [str(value)]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "report"
