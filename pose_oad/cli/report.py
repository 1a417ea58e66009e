"""Make tables, figures and one HTML page of the runs in a tracking store.

Everything is read from the store: parameters, tags, final metrics and ledgers. Runs that differ in nothing but stream
and seed become one row, and every strategy is compared with a baseline at the same rate, stream by stream, or without
streams seed by seed.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from pydantic import Field
from rich.console import Console

from pose_oad.cli.command import check_keys, plain
from pose_oad.report.build import build_report
from pose_oad.report.effects import verdicts
from pose_oad.report.layout import Table, to_rich
from pose_oad.report.material import Material, gather
from pose_oad.report.store import Ledgers, Selection, load_runs
from pose_oad.report.tables import MAIN_COLUMNS, key_names
from pose_oad.tracking.schema import Text
from pose_oad.tracking.store import open_store

_log = logging.getLogger(__name__)


class Report(NamedTuple):
    """A report that has been written: where it lies, the runs it was asked for, their groups, its tables."""

    folder: Path
    selection: Selection
    material: Material
    tables: list[Table]


def main(cfg: DictConfig) -> Report:
    """Write a report from ``conf/report.yaml``, show its main table, and keep its files with the study's run.

    Raises:
        UserError: if a name is unknown, the store cannot be read or holds no finished run, or the folder cannot be
            written; nothing has been written then.
    """
    names = Text | int | Annotated[list[Text | int], Field(min_length=1)] | None
    check_keys(cfg, {
        "study_name": Text | int | None, "experiments": names, "runs": names, "baseline": Text | int | None,
        "error": Annotated[str, Field(pattern="_px$")] | None, "folder": Text | None,
        "confidence": Annotated[float, Field(gt=0, lt=1)],
    })  # fmt: skip
    study = None if cfg.study_name is None else str(cfg.study_name)
    client = open_store(str(cfg.tracking.uri))
    selection = load_runs(client, study, _names(cfg.experiments), _names(cfg.runs))
    ledgers = Ledgers(client)
    baseline = None if cfg.baseline is None else str(cfg.baseline)
    material = gather(selection, cfg.error, baseline, cfg.confidence, ledgers)
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
    """Print what was found, the main table's most important columns, and where the files are."""
    console = Console()
    for verdict in verdicts(report.material):
        console.print(verdict, markup=False, highlight=False)
    for table in report.tables[:1]:
        groups = report.material.online or report.material.offline
        error = report.material.error
        console.print(to_rich(table.select(*key_names(groups), error, f"test_{error}", *MAIN_COLUMNS)))
    for said in (report.selection.left_out_text(), report.material.superseded_text()):
        if said:
            console.print(said, markup=False, highlight=False)
    console.print(f"report: {report.folder / 'index.html'}", markup=False, highlight=False, soft_wrap=True)


def _names(value: Any) -> list[str] | None:
    """Read one name or a list of names; None for all."""
    names = value if OmegaConf.is_list(value) or value is None else [value]
    return names and [str(name) for name in names]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "report"
