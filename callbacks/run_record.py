"""What stays of a run: its folder, its artifacts in the tracking store, and the table at the end."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig
from rich.console import Console

from callbacks.gallery import Gallery
from callbacks.ledger import Ledger, read_ledger
from callbacks.observer import Observer
from callbacks.prequential import PrequentialEvaluation
from callbacks.sampler import FrameSampler
from callbacks.timing import PHASES, Timing
from callbacks.verdict import Verdict
from pose_oad.metrics.latency import verdict
from pose_oad.online.distillation import OnlineDistillation, as_distillation
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.delivery import RunLogger
from pose_oad.tracking.files import writing
from pose_oad.tracking.tables import facts_table, print_paths

_LOG = logging.getLogger(__name__)
# The few figures by which runs are compared at a glance.
_HEADLINE = {"gain_px": "gain_px", "labels": "selected", "steps": "optimizer_steps", "seconds": "wall_clock_s"}
_QUANTITY = {"truth": "MPJPE, px", "teacher": "distance to the teacher, px"}


class RunRecord(Callback):
    """Keep a folder per run, and log it to the tracking store when the stream ends. Must be the last callback.

    The folder holds ``config.yaml``, ``ledger.jsonl`` and ``.parquet``, ``error.png``, ``frames.png``, ``look.html``,
    ``latency.png`` where a clock charges, and ``student.ckpt``.

    Args:
        cfg: the resolved configuration
        logger: the run's logger
        folder: the run's folder, which holds its configuration
        evaluation: the errors
        timing: times and counts
        sampler: the frames to show
        ledger: the rows of the windows
        observers: who else adds to the summary

    Attributes:
        folder: the run's folder
        summary: means, counts and seconds of the finished run, by logged name
        verdict: whether adapting has helped, in a sentence; empty where that was not measured
    """

    def __init__(
        self,
        cfg: DictConfig,
        logger: RunLogger,
        folder: Path,
        evaluation: PrequentialEvaluation,
        timing: Timing,
        sampler: FrameSampler,
        ledger: Ledger,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.logger, self.evaluation, self.timing, self.sampler = logger, evaluation, timing, sampler
        self.observers, self.figures = observers, bool(cfg.output.figures)
        self.folder, self.ledger = folder, ledger
        self.summary: dict[str, float] = {}
        self.verdict = ""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what can be written only now, and log all of it.

        Raises:
            UnwritableError: if it cannot be written, as on a full disk; the run can then be resumed at its end.
        """
        module = as_distillation(pl_module)
        self.summary = self.evaluation.summary() | self.timing.summary()
        for observer in self.observers:
            self.summary |= observer.summary()
        for observer in self.observers:
            if isinstance(observer, Verdict):
                self.verdict = observer.sentence(self.summary)
        nobody, calls = (
            sum(self.summary.get(prefix + name, 0) for prefix in ("", "evaluation_"))
            for name in ("frames_without_person", "teacher_calls")
        )
        if nobody:
            _LOG.warning("the teacher found nobody in %d of the %d frames it was asked about", nobody, calls)
        save_student(module.loop.weights.newest(), self.folder / "student.ckpt")
        self.ledger.write_table()
        if self.figures:
            with writing(self.folder):
                self._draw(module)
        self.logger.experiment.set_tag(self.logger.run_id, "pose_oad.measured", self.evaluation.who)
        if self.verdict:
            self.logger.experiment.set_tag(self.logger.run_id, "pose_oad.verdict", self.verdict)
        headline = {"error_px": f"{self.evaluation.prefix}_px", **_HEADLINE}
        figures = {name: self.summary[key] for name, key in headline.items() if key in self.summary}
        figures |= {f"final/{key}": value for key, value in self.summary.items()}
        self.logger.log_metrics({name: value for name, value in figures.items() if value == value})
        self.logger.experiment.log_artifacts(self.logger.run_id, str(self.folder))

    def _draw(self, module: OnlineDistillation) -> None:
        from pose_oad.report.look import Students, write_look
        from pose_oad.report.run_figures import error_curve, frame_sheet
        from pose_oad.report.time_line import time_line

        rows = read_ledger(self.ledger.path)
        if rows:
            title = f"{self.logger._run_name}: error before training on each window"
            figure = error_curve(*self.evaluation.curve(), rows, _QUANTITY[self.evaluation.measurement.against], title)
            figure.savefig(self.folder / "error.png", dpi=150)
            measurement, after = self.evaluation.measurement, module.loop.weights.newest()
            students = Students(module.pretrained, after, measurement.several_from is not None)
            for gallery in (observer for observer in self.observers if isinstance(observer, Gallery)):
                write_look(
                    self.folder / "look.html", str(self.logger._run_name), self.verdict, self.summary, figure, gallery,
                    students, measurement.against,
                )  # fmt: skip
        if rows and "latency/ready_s" in rows[0]:
            time_line(rows, f"{self.logger._run_name}: what is done when").savefig(self.folder / "latency.png", dpi=150)
        if self.sampler.samples:
            frame_sheet(self.sampler.samples, module.student.skeleton).savefig(self.folder / "frames.png", dpi=150)

    def report(self) -> None:
        """Print the summary as a table."""
        values = self.summary
        table = facts_table(str(self.logger._run_name))
        against = "MPJPE" if self.evaluation.measurement.against == "truth" else "distance to the teacher"
        prefix = "mpjpe" if self.evaluation.measurement.against == "truth" else "teacher_distance"
        parts = {"": "whole stream", "_second_half": "second half", "_last_third": "last third"}
        table.add_row("measured", self.evaluation.who)
        if "people/AP" in values:
            of = {name[7:]: value for name, value in values.items() if name.startswith("people/")}
            for part, words in parts.items():
                table.add_row(f"AP, {words}", f"{of[f'AP{part}']:.3f}")
            table.add_row("AP50 / AR", f"{of['AP50']:.3f} / {of['AR']:.3f}")
            seen = f"{of['recall']:.1%} of {of['wanted']:,.0f} in {of['frames']:,.0f} frames"
            table.add_row("people matched", f"{seen}, {of['matched_px']:.1f} px off")
            against += ", all people"
        for part, words in parts.items():
            table.add_row(f"{against}, {words}", _said(values[f"{prefix}{part}_px"], ".1f", " px"))
        if "gain_px" in values:
            gains = (f"{_said(values[f'gain{part}_px'], '.1f', ' px')} ({words})" for part, words in parts.items())
            table.add_row("gain over never adapting", ", ".join(gains))
        table.add_row(
            "PCK @ 3 px / @ 0.2 torso", f"{_said(values['pck_3px'], '.1%')} / {_said(values['pck_02_torso'], '.1%')}"
        )
        found = _said(values["detection_rate"], ".1%")
        table.add_row("joints found", f"{found} (missing joints: {self.evaluation.measurement.rule.undetected_joints})")
        share = values["selected"] / max(1, values["frames"])
        table.add_row("frames labelled", f"{values['selected']:,} of {values['frames']:,} ({share:.1%})")
        calls, measuring = values["teacher_calls"], values["evaluation_teacher_calls"]
        table.add_row("teacher calls", f"{calls:,} (and {measuring:,.0f} to measure only)")
        for name, count in sorted(self.timing.counted.items()):
            table.add_row(name.replace("_", " "), f"{count:,}")
        table.add_row("optimiser steps", f"{values['optimizer_steps']:,}")
        speed = values["frames"] / max(1e-9, values["wall_clock_s"])
        table.add_row("wall clock, without measuring", f"{values['wall_clock_s']:.1f} s ({speed:.0f} frames/s)")
        table.add_row("seconds by phase", ", ".join(f"{phase} {self.timing.totals[phase]:.1f}" for phase in PHASES))
        if "latency/windows" in values:
            table.add_row("time", verdict(values))
        console = Console()
        console.print(table)
        print_paths(console, "kept in", self.folder)
        if self.verdict:
            console.print(self.verdict, markup=False, highlight=False)


def _said(value: float, form: str, unit: str = "") -> str:
    """Write a figure, or that there was nothing to measure."""
    return "nobody to measure" if math.isnan(value) else f"{value:{form}}{unit}"
