"""What stays of an offline study: its folder, its figures in the tracking store, and the table at the end."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from pose_oad.offline.journal import SelectionJournal
from pose_oad.online.loop import Strategy
from pose_oad.tracking.delivery import RunLogger
from pose_oad.tracking.files import replacing
from pose_oad.tracking.run_folder import UNFINISHED
from pose_oad.tracking.store import file_hash
from pose_oad.tracking.tables import facts_table, print_paths


class FinetuneRecord:
    """Keep a folder per study, and log it to the tracking store when it is done.

    The folder holds ``config.yaml``, ``selection.jsonl`` (a row per window, named as in a stream's ledger),
    ``student.ckpt`` and ``result.json``. Every file appears whole or not at all. As long as the study is not finished,
    the folder ``unfinished`` holds what it goes on from when it is resumed.

    Args:
        cfg: the resolved configuration
        logger: the run's logger
        strategy: whose study it is
        folder: the run's folder, which holds its configuration

    Attributes:
        folder: the run's folder
        unfinished: the folder in it that goes away at the end
        journal: what has been chosen and labelled so far
        validation_journal: what the teacher has labelled to validate so far
        checkpoint: the file of the best weights in it
        logger: the run's logger
        seconds: wall-clock time of each phase so far, s
    """

    def __init__(self, cfg: DictConfig, logger: RunLogger, strategy: Strategy, folder: Path) -> None:
        self.logger, self.folder = logger, folder
        self.unfinished = self.folder / UNFINISHED
        self.checkpoint = self.folder / "student.ckpt"
        self.seconds: dict[str, float] = {}
        self._copy = Path(cfg.output.checkpoint) if cfg.output.checkpoint else None
        self._rule = cfg.metric.undetected_joints
        self._summary: dict[str, float] = {}
        role = "reference" if strategy.reference else "strategy"
        tags = {"pose_oad.kind": "finetune", "pose_oad.role": role, "pose_oad.label": strategy.name}
        for tag, value in (tags | {"checkpoint.sha256": file_hash(cfg.checkpoint)}).items():
            logger.experiment.set_tag(logger.run_id, tag, value)
        self.journal = SelectionJournal(self.unfinished / "selection.jsonl")
        self.validation_journal = SelectionJournal(self.unfinished / "validation.jsonl")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Take the wall-clock time of the block."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def write_selection(self) -> None:
        """Write what was chosen in all windows."""
        _write(self.folder / "selection.jsonl", "".join(json.dumps(row) + "\n" for row in self.journal.rows))

    def finish(self, summary: Mapping[str, float]) -> None:
        """Write what can be written only now, and log all of it.

        Args:
            summary: the study's figures by logged name
        """
        self._summary = dict(summary)
        finite = {name: value for name, value in summary.items() if math.isfinite(value)}
        values = {name: finite.get(name) for name in summary}
        _write(self.folder / "result.json", json.dumps(values, indent=1) + "\n")
        if self._copy is not None:
            with replacing(self._copy) as partial:
                shutil.copyfile(self.checkpoint, partial)
        self.logger.log_metrics({f"final/{name}": value for name, value in finite.items()})
        self.logger.experiment.log_artifacts(self.logger.run_id, str(self.folder))

    def report(self) -> None:
        """Print the figures as a table."""
        values = self._summary
        table = facts_table(str(self.logger._run_name))
        if "test_people/AP" in values:
            ends = f"{values['test_before_people/AP']:.3f}, {values['test_people/AP']:.3f}"
            table.add_row("test AP before, after", f"{ends} (several people, matched by OKS)")
        before, after = values["test_before_mpjpe_px"], values["test_mpjpe_px"]
        table.add_row("test MPJPE before, after", f"{before:.1f} px, {after:.1f} px")
        prefix = "test_mpjpe_px/subject/"
        subjects = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
        table.add_row("by subject", ", ".join(f"{name} {value:.1f} px" for name, value in subjects.items()))
        table.add_row("PCK @ 3 px / @ 0.2 torso", f"{values['test_pck_3px']:.1%} / {values['test_pck_02_torso']:.1%}")
        table.add_row("joints found", f"{values['test_detection_rate']:.1%} (missing joints: {self._rule})")
        if "val_mpjpe_px" in values:
            table.add_row("validation MPJPE", f"{values['val_mpjpe_px']:.1f} px")
        else:
            table.add_row("validation loss on the teacher's labels", f"{values['val_teacher_loss']:.4g}")
        share = values["selected"] / max(1, values["frames"])
        table.add_row("frames labelled", f"{values['selected']:,} of {values['frames']:,} ({share:.1%})")
        table.add_row(
            "teacher calls", f"{values['teacher_calls']:,}, {values['validation_teacher_calls']:,} to validate"
        )
        table.add_row("optimiser steps", f"{values['optimizer_steps']:,}")
        table.add_row("seconds by phase", ", ".join(f"{phase} {taken:.1f}" for phase, taken in self.seconds.items()))
        console = Console()
        console.print(table)
        print_paths(console, "kept in", self.folder)


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text)
