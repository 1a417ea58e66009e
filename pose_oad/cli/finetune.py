"""The offline study: choose frames in videos of some subjects, fine-tune on them together, test on other subjects.

The query strategies work window by window as in a stream, but the student that they score stays the pre-trained one;
it is fine-tuned on all chosen frames afterwards and tested on subjects that nothing has been chosen from.

A study that was stopped goes on with ``resume=<run>``. The videos are decoded again; the teacher is not asked again
about windows that had been finished, and training goes on behind its last finished epoch. The result is that of an
uninterrupted study, but for the seconds, which are those since the study went on.
"""

from __future__ import annotations

import copy
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from pose_oad.cli.assembly import (
    load_run_student,
    make_stage,
    make_trainer,
    stream_options,
    take_threads,
    warn_of_empty_budget,
)
from pose_oad.cli.command import build, plain
from pose_oad.cli.resuming import resumable, resumable_run
from pose_oad.cli.run_config import read_config
from pose_oad.cli.teachers import make_teacher
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.progress import watched
from pose_oad.tracking.run_folder import close_run, open_run

if TYPE_CHECKING:
    from lightning import Trainer

    from callbacks.strategies import QueryStrategy
    from datamodules.stream import WindowLoader
    from datamodules.windowing import ImageSize, StreamOptions
    from pose_oad.offline.collection import Collector, RecordWindow
    from pose_oad.offline.frame_store import FrameSet, FrameStore
    from pose_oad.offline.journal import SelectionJournal
    from pose_oad.offline.record import FinetuneRecord
    from pose_oad.offline.training import FinetuneModule
    from pose_oad.online.batch import LabelledBatch
    from pose_oad.online.record import Choice
    from pose_oad.online.window import FrameWindow


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OfflineStudy:
    """Everything a study is made of, ready to start.

    Attributes:
        strategy: which frames are chosen
        collector: chooses and labels them
        validator: labels the validation frames; None where they are measured against their truth
        module: the student and how it is fine-tuned
        trainer: runs the epochs
        train: videos in which frames are chosen
        validation: videos that pick the checkpoint
        test: videos of other subjects
    """

    strategy: QueryStrategy
    collector: Collector
    validator: Collector | None
    module: FinetuneModule
    trainer: Trainer
    train: WindowLoader
    validation: WindowLoader
    test: WindowLoader


def main(cfg: DictConfig) -> dict[str, float]:
    """Run one offline study from its configuration.

    Args:
        cfg: ``conf/finetune.yaml`` with overrides

    Returns:
        Test errors, counts and seconds by logged name, without ``final/``; empty where ``resume`` names a finished run.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been recorded then.
    """
    from lightning import seed_everything

    from pose_oad.offline.record import FinetuneRecord
    from pose_oad.tracking.store import log_provenance, quiet_libraries

    stopped = resumable_run(cfg, "finetune") if cfg.resume else None
    if cfg.resume and stopped is None:
        return {}
    cfg = read_config(stopped / "config.yaml", "finetune") if stopped else cfg
    quiet_libraries()
    cfg.threads = take_threads(cfg.threads)
    seed_everything(cfg.seed.model, workers=True, verbose=False)
    study = prepare(cfg)
    name = f"finetune-{study.strategy.name}-{cfg.rate:g}-seed{cfg.seed.base}"
    logger, folder = open_run(cfg, name, stopped=stopped)
    try:
        record = FinetuneRecord(cfg, logger, study.strategy, folder)
        if not record.journal.rows:
            log_provenance(logger, cfg)
        with resumable("finetune", folder):
            summary = run(study, record, cfg)
            record.finish(summary)
    except BaseException:  # an interrupt too: the store must not show this run as one that is still going on
        logger.finalize("failed")
        raise
    logger.finalize("success")
    close_run(folder)
    record.report()
    return summary


def run(study: OfflineStudy, record: FinetuneRecord, cfg: DictConfig) -> dict[str, float]:
    """Select, fine-tune and test.

    Args:
        study: what was prepared
        record: the run's folder
        cfg: the resolved configuration

    Returns:
        The study's figures by logged name.
    """
    from pose_oad.offline.frame_store import FrameStore
    from pose_oad.offline.training import EpochLogger, fine_tune
    from pose_oad.online.breakdown import measure
    from pose_oad.students import load_student

    device, student = study.trainer.strategy.root_device, study.module.student
    memory = cfg.collection.memory_mib
    student.to(device)
    with record.phase("selection"):
        chosen = study.collector.collect(
            watched(study.train, len(study.train), "selection"),
            FrameStore(memory, record.folder),
            _kept_in(record.journal),
            record.journal.kept,
        )
    record.write_selection()
    nobody = int((~(chosen.content.keypoints[..., 2] > 0).flatten(1).any(1)).sum())
    if nobody:
        _LOG.warning("the teacher found nobody in %d of the %d chosen frames", nobody, len(chosen))
    validation = _validation_frames(study, record, FrameStore(memory, record.folder))
    before = copy.deepcopy(student)
    study.trainer.callbacks.append(EpochLogger(record.logger, record.logger.last_step("lr")))  # type: ignore[attr-defined]
    with record.phase("training"):
        validated = fine_tune(study.trainer, study.module, chosen, validation, record.checkpoint, record.unfinished)
    students = {"test_before": before.to(device)}
    if len(chosen):
        students["test"] = load_student(record.checkpoint).to(device)
        students["test"].decoding = student.decoding
    with record.phase("test"):
        errors = measure(
            watched(study.test, len(study.test), "test"), students, study.module.rule, cfg.metric.batch_size,
            cfg.metric.people,
        )  # fmt: skip
    tested = errors.get("test", errors["test_before"])
    before_values = errors["test_before"].values()
    return {
        **{f"test_{name}": value for name, value in tested.values().items()},
        **{f"test_before_{name}": before_values[name] for name in ("people/AP", "mpjpe_px") if name in before_values},
        study.module.monitor.replace("/", "_"): validated,
        "frames": study.collector.frames,
        "test_frames": tested.frames,
        "selected": len(chosen),
        "frames_without_person": nobody,
        "teacher_calls": study.collector.label_service.calls,
        "validation_teacher_calls": study.validator.label_service.calls if study.validator else 0,
        "optimizer_steps": study.trainer.global_step,
        **{f"{phase}_s": seconds for phase, seconds in record.seconds.items()},
    }


def _validation_frames(study: OfflineStudy, record: FinetuneRecord, store: FrameStore) -> FrameSet:
    """Collect the frames that steer the training, with their true person or the teacher's people."""
    from pose_oad.offline.collection import collect_measured

    windows = watched(study.validation, len(study.validation), "validation")
    if study.validator is None:
        return collect_measured(windows, study.module.student, store)
    journal = record.validation_journal
    return study.validator.collect(windows, store, _kept_in(journal), journal.kept)


def _kept_in(journal: SelectionJournal) -> RecordWindow:
    """Return what keeps a window in a journal."""
    from callbacks.ledger import row_of

    def keep(window: FrameWindow, choice: Choice, labelled: LabelledBatch | None, figures: Mapping[str, float]) -> None:
        journal.append(row_of(window, choice.positions, figures), choice.positions, labelled)

    return keep


def prepare(cfg: DictConfig) -> OfflineStudy:
    """Build what a study is made of, checking everything that can be checked before it starts.

    Args:
        cfg: the resolved configuration

    Raises:
        UserError: if a value, a file, or the combination cannot be used.
    """
    from callbacks.strategies.references import Everything
    from datamodules.stream import WindowLoader
    from pose_oad.metrics.keypoints import MissingRule
    from pose_oad.metrics.people import check_people
    from pose_oad.offline.collection import Collector
    from pose_oad.offline.frame_store import check_memory
    from pose_oad.offline.training import TEACHER_LOSS, VALIDATION_ERROR, FinetuneModule, Plateau
    from pose_oad.online.augmentation import views_generator
    from pose_oad.online.options import TrainingOptions
    from pose_oad.poses.joint_check import check_joint_sets
    from pose_oad.tracking.schema import build_options

    _check_subjects_and_ranges(cfg)
    check_memory(cfg.collection.memory_mib)
    check_people(cfg.metric.people)
    strategy = make_stage(cfg.strategy)
    rule = MissingRule(cfg.metric.undetected_joints, cfg.metric.threshold, cfg.metric.penalty).validate()
    options = plain(cfg.training)
    plateau = options.pop("plateau")
    check(isinstance(plateau, dict), "training.plateau", plateau, "values for factor and patience")
    training = build_options(TrainingOptions, options, "training", seed=cfg.seed.model)
    trainer = make_trainer(
        plain(cfg.trainer),
        max_epochs=cfg.training.epochs,
        logger=False,  # EpochLogger makes one call per epoch
        enable_checkpointing=False,  # fine_tune() keeps the best weights
        enable_progress_bar=sys.stderr.isatty(),
        num_sanity_val_steps=0,
    )
    sources = {part: _source(cfg, part) for part in ("train", "validation", "test")}
    teacher = make_teacher(cfg.teacher, sources["train"].skeleton, cfg.get("label_cache"))
    student = load_run_student(cfg)
    check_joint_sets(student.skeleton, teacher=teacher.skeleton, truth=sources["train"].skeleton)
    stream = stream_options(cfg, sources["train"], student, teacher)
    trigger = build(cfg.trigger)
    warn_of_empty_budget(strategy, trigger, stream.window_frames)
    augmentation = build(cfg.augmentation, skeleton=student.skeleton)
    by_teacher = cfg.validation.monitor == "teacher_loss"
    seen = stream.teacher_image_size if by_teacher else None
    loaders = {
        "train": WindowLoader(sources["train"], stream),
        "validation": WindowLoader(sources["validation"], _measured(stream, cfg.validation.every, seen)),
        "test": WindowLoader(sources["test"], _measured(stream, cfg.test.every)),
    }
    for part, loader in loaders.items():
        check(loader.total_frames > 0, f"{part}.end", cfg[part].end, f"a range of at least one frame from {part}.start")
    collector = partial(Collector, trigger=trigger, student=student, teacher=teacher)
    return OfflineStudy(
        strategy,
        collector(strategy, views=lambda batch, window: augmentation(batch, views_generator(training.seed, window))),
        collector(Everything()) if by_teacher else None,
        FinetuneModule(student, training, Plateau(**plateau), rule, TEACHER_LOSS if by_teacher else VALIDATION_ERROR),
        trainer,
        **loaders,
    )


def _check_subjects_and_ranges(cfg: DictConfig) -> None:
    """Refuse frames that would be both trained on and measured, and values that nobody else checks."""
    tree = "root" in cfg.stream
    check(tree, "stream", cfg.stream._target_, "a tree of subjects with a ground truth, as stream=human36m")
    counts = {"validation.every": cfg.validation.every, "test.every": cfg.test.every}
    for key, value in (counts | {"metric.batch_size": cfg.metric.batch_size}).items():
        check(isinstance(value, int) and value >= 1, key, value, "a number of frames, 1 or more")
    for key, value in {"train.subjects": cfg.stream.subjects, "test.subjects": cfg.test.subjects}.items():
        check(OmegaConf.is_list(value) and len(value) > 0, key, value, "a list of subjects, as [S9]")
    monitor = cfg.validation.monitor
    check(monitor in ("error", "teacher_loss"), "validation.monitor", monitor, "error or teacher_loss")
    shared = set(cfg.test.subjects) & set(cfg.stream.subjects)
    check(not shared, "test.subjects", cfg.test.subjects, f"others than train.subjects={cfg.stream.subjects}")
    start, end = cfg.validation.start, cfg.stream.end
    numbers = all(isinstance(value, int | float) for value in (start, end))
    check(numbers and start >= end, "validation.start", start, f"a fraction not before train.end={end}")
    place = cfg.output.checkpoint
    check(place is None or not Path(place).is_dir(), "output.checkpoint", place, "a file, as checkpoints/best.ckpt")


def _source(cfg: DictConfig, part: str) -> Any:
    """Open the videos of one part of the study; a refusal names that part's key."""
    try:
        if part == "train":
            return build(cfg.stream)
        subjects = plain(cfg.test)["subjects"] if part == "test" else plain(cfg.stream)["subjects"]
        other = {"subjects": subjects, "start": cfg[part].start, "end": cfg[part].end, "shuffle": False}
        changed = cfg.copy()  # a node by itself would not know its key
        changed.stream.update(other)
        return build(changed.stream)
    except UserError as error:
        owner = {"subjects": "train" if part == "validation" else part}
        raise UserError(
            re.sub(r"^stream\.(subjects|start|end)=", lambda m: f"{owner.get(m[1], part)}.{m[1]}=", str(error))
        ) from error


def _measured(options: StreamOptions, every: int, teacher: ImageSize | None = None) -> StreamOptions:
    """Cut videos like the training videos, but for measuring one frame in so many, at the size for a teacher if any."""
    return replace(options, teacher_every=every, teacher_image_size=teacher or (lambda size: None))
