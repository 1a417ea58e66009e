"""Run a stream: predict each window, choose frames, let the teacher label them, train the student, carry on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from pose_oad.cli import build, plain, run_command
from pose_oad.errors import check

if TYPE_CHECKING:
    from callbacks.prequential import PrequentialEvaluation
    from callbacks.run_record import RunRecord
    from callbacks.strategies import QueryStrategy
    from callbacks.timing import Timing
    from datamodules.stream import StreamDataModule
    from pose_oad.distillation import OnlineDistillation


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
    """Run one stream from its configuration.

    Args:
        cfg: ``conf/online.yaml`` with overrides

    Returns:
        The run's summary: mean errors, counts and seconds, by logged name.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been recorded then.
    """
    import torch
    from lightning import Trainer, seed_everything

    from callbacks.progress import WindowProgress
    from callbacks.run_record import RunRecord
    from callbacks.sampler import FrameSampler
    from callbacks.window_logger import WindowLogger
    from pose_oad.tracking import log_provenance, make_logger, quiet_libraries

    quiet_libraries()
    # One core is the decoder's: on two cores, small steps are faster with one thread than with two that it disturbs.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))
    seed_everything(cfg.seed.model, workers=True, verbose=False)
    run = prepare(cfg)
    logger = make_logger(cfg, f"{run.strategy.name}-{cfg.rate:g}-seed{cfg.seed.base}")
    log_provenance(logger, cfg)
    sampler = FrameSampler(run.data.loader.source.skeleton, cfg.output.samples)
    record = RunRecord(cfg, logger, run.evaluation, run.timing, sampler)
    trainer = Trainer(
        max_epochs=1,
        logger=logger,
        callbacks=[
            run.timing, run.evaluation, run.strategy, sampler, record.ledger, WindowLogger(), WindowProgress(), record
        ],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        **cfg.trainer,
    )  # fmt: skip
    trainer.fit(run.module, datamodule=run.data)
    record.report()
    return record.summary


def prepare(cfg: DictConfig) -> OnlineRun:
    """Build what a run is made of, checking everything that can be checked before it starts.

    Args:
        cfg: the resolved configuration

    Raises:
        UserError: if a value, a file, or the combination cannot be used.
    """
    from callbacks.prequential import PrequentialEvaluation
    from callbacks.timing import Timing
    from datamodules.stream import StreamDataModule, StreamOptions, window_length
    from pose_oad.distillation import OnlineDistillation, TrainingOptions
    from pose_oad.metrics.keypoints import MissingRule
    from pose_oad.students import StudentConfig, load_student

    strategy = build(cfg.strategy)
    rule = MissingRule(cfg.metric.missing, cfg.metric.threshold, cfg.metric.penalty).validate()
    training = TrainingOptions(**plain(cfg.training), seed=cfg.seed.model)
    every = cfg.teacher.every
    check(isinstance(every, int) and every >= 1, "teacher.every", every, "a number of frames, 1 or more")
    source = build(cfg.stream)
    teacher = make_teacher(cfg.teacher, source.skeleton)
    student = load_student(cfg.checkpoint, StudentConfig.from_dict(plain(cfg.student)))
    rate = cfg.window.camera_rate or source.clips[0].rate
    options = StreamOptions(
        window_frames=window_length(cfg.window.seconds, cfg.window.frames, rate),
        input_size=student.input_size,
        fit=cfg.window.fit,
        rate=cfg.window.camera_rate,
        teacher_image_size=teacher.image_size,
        teacher_every=every,
        decoder_threads=cfg.window.decoder_threads,
    )
    evaluation = PrequentialEvaluation(rule, source.skeleton, teacher, cfg.metric.teacher_every, cfg.metric.batch_size)
    return OnlineRun(
        OnlineDistillation(student, teacher, training),
        StreamDataModule(source, options),
        strategy,
        evaluation,
        Timing(),
    )


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
