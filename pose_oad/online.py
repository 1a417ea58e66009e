"""Run a stream: predict each window, choose frames, let the teacher label them, train the student, carry on."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from pose_oad.cli import build, plain, run_command
from pose_oad.errors import UserError, check

_LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    from lightning import Callback

    from callbacks.prequential import PrequentialEvaluation
    from callbacks.run_record import RunRecord
    from callbacks.strategies import QueryStrategy
    from callbacks.timing import Timing
    from datamodules.coco import CocoDataModule
    from datamodules.stream import StreamDataModule, StreamOptions
    from datamodules.video import FrameSource
    from pose_oad.distillation import OnlineDistillation
    from pose_oad.students import PoseStudent
    from pose_oad.teachers.base import Teacher


@dataclass(frozen=True)
class OnlineRun:
    """Everything a run is made of, ready to start or done.

    Attributes:
        module: student, teacher and how it trains
        data: the stream
        strategy: which frames are chosen
        evaluation: the errors
        timing: the times
        record: folder and artifacts; None until tracking has been opened
    """

    module: OnlineDistillation
    data: StreamDataModule
    strategy: QueryStrategy
    evaluation: PrequentialEvaluation
    timing: Timing
    record: RunRecord | None = None


def main(cfg: DictConfig) -> dict[str, float]:
    """Run one stream from its configuration, and print what came of it.

    Args:
        cfg: ``conf/online.yaml`` with overrides

    Returns:
        The run's summary: mean errors, counts and seconds, by logged name.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been recorded then.
    """
    from callbacks.progress import WindowProgress

    if cfg.resume:
        from pose_oad.resuming import logged_config, resumable_run

        folder = resumable_run(cfg, "online")
        record = play(logged_config(folder), watchers=[WindowProgress()], resume=folder)
    else:
        record = play(cfg, watchers=[WindowProgress()])
    record.report()
    return record.summary


def play(
    cfg: DictConfig,
    tags: Mapping[str, str] | None = None,
    watchers: Sequence[Callback] = (),
    resume: Path | None = None,
) -> RunRecord:
    """Run one stream from its configuration.

    Args:
        cfg: ``conf/online.yaml`` with overrides
        tags: further tags of the run in the tracking store, as its place in a study
        watchers: further callbacks, called when a window has been logged
        resume: folder of the run to go on with; None begins a new one

    Returns:
        What the run left: its folder, its summary.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been recorded then.
    """
    from lightning import Trainer, seed_everything

    from callbacks.checkpoint import WindowCheckpoint, read_state
    from callbacks.run_record import RunRecord
    from callbacks.sampler import FrameSampler
    from callbacks.window_logger import WindowLogger
    from pose_oad.tracking import log_provenance, make_logger, quiet_libraries

    quiet_libraries()
    cfg.threads = take_threads(cfg.threads)
    seed_everything(cfg.seed.model, workers=True, verbose=False)
    run = prepare(cfg)
    observers = _observers(cfg, run)
    check(
        cfg.output.register is None or cfg.logger == "mlflow", "output.register", cfg.output.register,
        "null with logger=local: a model is registered in a tracking store",
    )  # fmt: skip
    state = read_state(resume) if resume else None
    name = f"{run.strategy.name}-{cfg.rate:g}-seed{cfg.seed.base}"
    logger = make_logger(cfg, name, _tags(cfg, run) | dict(tags or {}), resume.name if resume else None)
    if resume is None:
        log_provenance(logger, cfg)
    sampler = FrameSampler(run.data.loader.source.skeleton, cfg.output.samples)
    record = RunRecord(cfg, logger, run.evaluation, run.timing, sampler, observers)
    parts: dict[str, Any] = {
        "stream": run.data.loader,
        "evaluation": run.evaluation,
        "timing": run.timing,
        "sampler": sampler,
    }
    parts |= {type(observer).__name__: observer for observer in observers if hasattr(observer, "load_state_dict")}
    keeper = [WindowCheckpoint(record.folder, parts, state)] if cfg.output.resumable else []
    limits = dict(cfg.trainer)
    if state is not None:
        done = state["parts"]["stream"]["window"]
        record.ledger.cut(done)
        if isinstance(cfg.trainer.limit_train_batches, int):
            limits["limit_train_batches"] = cfg.trainer.limit_train_batches - done
    trainer = Trainer(
        max_epochs=1,
        logger=logger,
        # In this order: times around everything, errors before training, selection, what looks at both, records.
        callbacks=[
            run.timing, run.evaluation, run.strategy, *observers, sampler, record.ledger,
            WindowLogger(logger.last_step() if resume else -1), *watchers, *keeper, record,
        ],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        **limits,
    )  # fmt: skip
    trainer.fit(run.module, datamodule=run.data)
    if cfg.output.register:
        _register(cfg, run, record)
    return record


def _register(cfg: DictConfig, run: OnlineRun, record: RunRecord) -> None:
    """Log the adapted student as a model; a store that does not take it is no reason to lose the run."""
    from pose_oad.registered_model import log_student

    try:
        uri = log_student(
            run.module.student, str(record.logger.run_id), cfg.tracking.uri, cfg.output.register, cfg.window.fit
        )
        _LOG.info("registered as %s: %s", cfg.output.register, uri)
    except Exception as error:  # whatever the store raises, the student is in the run's folder
        _LOG.warning(
            "output.register=%s: not registered (%s); the student is in %s",
            cfg.output.register, " ".join(str(error).split())[:160], record.folder / "student.ckpt",
        )  # fmt: skip


def _tags(cfg: DictConfig, run: OnlineRun) -> dict[str, str]:
    from pose_oad.tracking import file_hash

    return {
        "pose_oad.kind": "online",
        "pose_oad.label": run.strategy.name,
        "pose_oad.role": "reference" if run.strategy.reference else "strategy",
        "checkpoint.sha256": file_hash(cfg.checkpoint),
    }


def take_threads(threads: int | None) -> int:
    """Set the number of torch's threads.

    Args:
        threads: how many; None leaves one core to the decoder: on two cores, small steps are faster with one thread
            than with two that it disturbs

    Returns:
        How many there are now.

    Raises:
        UserError: if it is no positive number.
    """
    import torch

    if threads is None:
        threads = max(1, (os.cpu_count() or 1) - 1)
    check(isinstance(threads, int) and threads >= 1, "threads", threads, "a whole number, 1 or more, or null")
    torch.set_num_threads(threads)
    return threads


def prepare(cfg: DictConfig) -> OnlineRun:
    """Build what a run is made of, checking everything that can be checked before it starts.

    Args:
        cfg: the resolved configuration

    Raises:
        UserError: if a value, a file, or the combination cannot be used.
    """
    from callbacks.prequential import PrequentialEvaluation
    from callbacks.timing import Timing
    from datamodules.stream import StreamDataModule
    from pose_oad.distillation import OnlineDistillation, TrainingOptions
    from pose_oad.metrics.keypoints import MissingRule
    from pose_oad.students import StudentConfig, load_student

    strategy = build(cfg.strategy)
    rule = MissingRule(cfg.metric.missing, cfg.metric.threshold, cfg.metric.penalty).validate()
    training = TrainingOptions(**plain(cfg.training), seed=cfg.seed.model)
    every = cfg.teacher.every
    check(isinstance(every, int) and every >= 1, "teacher.every", every, "a number of frames, 1 or more")
    check(cfg.predictor in ("student", "teacher"), "predictor", cfg.predictor, "student or teacher")
    source = build(cfg.stream)
    if strategy.sees_truth and source.skeleton is None:
        raise UserError(f"strategy={strategy.name}: this stream has no ground truth; choose a strategy without it")
    teacher = make_teacher(cfg.teacher, source.skeleton)
    student = load_student(cfg.checkpoint, StudentConfig.from_dict(plain(cfg.student)))
    evaluation = PrequentialEvaluation(
        rule, source.skeleton, teacher, cfg.metric.teacher_every, cfg.metric.batch_size, cfg.predictor
    )
    return OnlineRun(
        OnlineDistillation(student, teacher, training),
        StreamDataModule(source, stream_options(cfg, source, student, teacher)),
        strategy,
        evaluation,
        Timing(),
    )


def stream_options(cfg: DictConfig, source: FrameSource, student: PoseStudent, teacher: Teacher) -> StreamOptions:
    """Read how a stream is cut into windows from a configuration's ``window`` and ``teacher`` nodes."""
    from datamodules.frames import FrameCache
    from datamodules.stream import StreamOptions, window_length

    rate = cfg.window.camera_rate or source.clips[0].rate
    return StreamOptions(
        window_frames=window_length(cfg.window.seconds, cfg.window.frames, rate),
        input_size=student.input_size,
        fit=cfg.window.fit,
        rate=cfg.window.camera_rate,
        teacher_image_size=teacher.image_size,
        teacher_every=cfg.teacher.every,
        decoder_threads=cfg.window.decoder_threads,
        cache=FrameCache(Path(cfg.window.cache)) if cfg.window.cache else None,
    )


def _observers(cfg: DictConfig, run: OnlineRun) -> list[Any]:
    """Build the callbacks that look at errors and selection, and add to the run's summary."""
    from callbacks.diagnostics import SelectionDiagnostics
    from callbacks.hindsight import FinalPass
    from datamodules.stream import WindowLoader

    loader = run.data.loader
    rate = cfg.window.camera_rate or loader.source.clips[0].rate
    observers: list[Any] = [SelectionDiagnostics(run.evaluation, rate)]
    if cfg.retention.root:
        from callbacks.retention import Retention

        observers.append(Retention(_source_domain(cfg, run), cfg.retention.every, cfg.retention.images))
    if cfg.metric.final_pass and cfg.predictor == "student":
        observers.append(FinalPass(lambda: WindowLoader(loader.source, loader.options), run.evaluation))
    return observers


def _source_domain(cfg: DictConfig, run: OnlineRun) -> CocoDataModule:
    """Read the validation set of the data the student was pre-trained on."""
    from datamodules.augmentation import AugmentationConfig
    from datamodules.coco import CocoDataModule

    student, root = run.module.student, Path(cfg.retention.root)
    check(root.is_dir(), "retention.root", root, "the folder of a COCO tree, or null")
    data = CocoDataModule(
        root,
        student.skeleton,
        student.input_size,
        student.map_size,
        augmentation=AugmentationConfig(),
        val=cfg.retention.split,
        batch_size=cfg.metric.batch_size,
    )
    data.setup("validate")
    return data


def make_teacher(node: DictConfig, truth_skeleton: Any) -> Any:
    """Build the teacher of a config node; a simulated one is told the joint set of the ground truth.

    Raises:
        UserError: if it refuses a value, or needs a ground truth that the stream has not.
    """
    from hydra.utils import get_class

    simulated = getattr(get_class(node._target_), "uses_truth", False)
    return build(node, without=["every"], **({"skeleton": truth_skeleton} if simulated else {}))


if __name__ == "__main__":
    run_command("online", main)
