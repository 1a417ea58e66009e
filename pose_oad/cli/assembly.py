"""What an online run is made of, built and checked before anything is recorded."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from pose_oad.cli.command import build, factory_of, plain
from pose_oad.cli.teachers import make_teacher
from pose_oad.tracking.errors import UserError, check

if TYPE_CHECKING:
    from lightning import Trainer

    from callbacks.prequential import PrequentialEvaluation
    from callbacks.strategies import QueryStrategy
    from callbacks.timing import Timing
    from datamodules.coco import CocoDataModule
    from datamodules.stream import StreamDataModule
    from datamodules.video.clips import FrameSource
    from datamodules.windowing import StreamOptions
    from pose_oad.online.distillation import OnlineDistillation
    from pose_oad.online.triggers import Trigger
    from pose_oad.students import PoseStudent
    from pose_oad.teachers.base import Teacher


_LOG = logging.getLogger(__name__)
# Weights, frames and targets are of 32 bits; a mixed precision converts inside the network alone.
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", 32, "32")


@dataclass(frozen=True)
class OnlineRun:
    """Everything a run is made of, ready to start.

    Attributes:
        module: student, teacher and how it trains
        data: the stream
        strategy: which frames are chosen
        evaluation: the errors
        timing: the times
    """

    module: OnlineDistillation
    data: StreamDataModule
    strategy: QueryStrategy
    evaluation: PrequentialEvaluation
    timing: Timing


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
    from pose_oad.metrics.keypoints import MissingRule
    from pose_oad.online.distillation import OnlineDistillation
    from pose_oad.online.label_service import LabelService
    from pose_oad.online.learner import Learner
    from pose_oad.online.loop import Loop
    from pose_oad.online.measurement import Measurement
    from pose_oad.online.options import TrainingOptions
    from pose_oad.online.stopwatch import Stopwatch
    from pose_oad.poses.joint_check import check_joint_sets
    from pose_oad.tracking.schema import build_options

    strategy = make_stage(cfg.strategy)
    rule = MissingRule(cfg.metric.undetected_joints, cfg.metric.threshold, cfg.metric.penalty).validate()
    training = build_options(TrainingOptions, plain(cfg.training), "training", seed=cfg.seed.model)
    # One that runs nothing: what Lightning refuses is refused before anything is recorded.
    make_trainer(plain(cfg.trainer), logger=False, enable_checkpointing=False, enable_progress_bar=False)
    every = cfg.teacher.every
    check(isinstance(every, int) and every >= 1, "teacher.every", every, "a number of frames, 1 or more")
    check(cfg.predictor in ("student", "teacher"), "predictor", cfg.predictor, "student or teacher")
    source = build(cfg.stream)
    if strategy.sees_truth and source.skeleton is None:
        raise UserError(f"strategy={strategy.name}: this stream has no ground truth; choose a strategy without it")
    student = load_run_student(cfg)
    teacher = make_teacher(cfg.teacher, source.skeleton, cfg.get("label_cache"), training.labels == "maps", student)
    maps = training.labels == "maps" and cfg.teacher.get("corrections") is not None
    check(not maps, "training.labels", "maps", "keypoints with teacher.corrections: nobody corrects maps")
    check_joint_sets(student.skeleton, teacher=teacher.skeleton, truth=source.skeleton)
    options = stream_options(cfg, source, student, teacher)
    trigger = build(cfg.trigger)
    warn_of_empty_budget(strategy, trigger, options.window_frames)
    watch = Stopwatch()
    labels = LabelService(teacher, student.map_size if training.labels == "maps" else None, watch=watch)
    measurement = Measurement(
        rule, source.skeleton, teacher, cfg.metric.teacher_every, cfg.metric.batch_size, cfg.metric.people,
        cfg.predictor, labels, watch,
    )  # fmt: skip
    learner = Learner(
        student,
        training,
        make_stage(cfg.objective),
        build(cfg.memory),
        make_stage(cfg.regulariser),
        build(cfg.average),
        build(cfg.augmentation, skeleton=student.skeleton),
        build(cfg.optimizer),
        build(cfg.source, student=student) if training.source_share else None,
    )
    halved = cfg.trainer.precision == "16-mixed"  # gradients are scaled then, and unscaled inside the step
    check(not halved or cfg.optimizer.clip is None, "optimizer.clip", cfg.optimizer.clip, "null with 16-mixed")
    loop = Loop(measurement, trigger, strategy, labels, learner, build(cfg.clock), build(cfg.weights), watch)
    return OnlineRun(
        OnlineDistillation(loop),
        StreamDataModule(source, replace(options, windows=cfg.trainer.limit_train_batches)),
        strategy,
        PrequentialEvaluation(measurement, student.skeleton),
        Timing(watch),
    )


def warn_of_empty_budget(strategy: QueryStrategy, trigger: Trigger, frames: int) -> None:
    """Say that no frame will ever be chosen, where a rate is too small for a window of so many frames."""
    from pose_oad.online.triggers import Always

    if not isinstance(trigger, Always):
        return
    if strategy.budget(trigger.labels(frames), frames) == 0 and strategy.budget(frames, frames) > 0:
        _LOG.warning(
            "rate=%g: chooses none of a window's %d frames, so that nothing is learnt; expected 1/%d or more, or a "
            "longer window", trigger.rate, frames, frames,
        )  # fmt: skip


def load_run_student(cfg: DictConfig) -> PoseStudent:
    """Load the student of a configuration; it carries from now on how this run lays frames into it and reads its maps.

    Args:
        cfg: a configuration with ``student``, ``checkpoint``, ``window`` and ``metric``

    Raises:
        UserError: if the checkpoint cannot be used for that student, or ``window.resize_mode`` or ``metric.decoding``
            does not exist.
    """
    from pose_oad.poses.geometry import RESIZE_MODES
    from pose_oad.students import StudentConfig, load_student

    check(
        isinstance(cfg.checkpoint, str) and bool(cfg.checkpoint), "checkpoint", cfg.checkpoint, "a student's checkpoint"
    )
    resize_mode = cfg.window.resize_mode
    check(resize_mode in RESIZE_MODES, "window.resize_mode", resize_mode, "letterbox or squash")
    decoding, missing = cfg.metric.decoding, cfg.metric.undetected_joints
    check(decoding in ("argmax", "grouped"), "metric.decoding", decoding, "argmax or grouped")
    lost = decoding == "grouped" and missing == "argmax"
    check(not lost, "metric.undetected_joints", missing, "drop, penalty or zero with metric.decoding=grouped")
    student = load_student(cfg.checkpoint, StudentConfig.from_dict(plain(cfg.student) | {"resize_mode": resize_mode}))
    student.decoding = decoding
    return student


def make_stage(node: DictConfig) -> Any:
    """Build the objective, the regulariser or the strategy of a config node, with those that it adds up.

    Args:
        node: the config node

    Raises:
        UserError: if a value is refused.
    """
    for several in {"objectives", "regularisers", "strategies"} & node.keys():
        parts = {str(name): make_stage(part) for name, part in (node[several] or {}).items()}
        return build(node, without=[several], **{several: parts})
    return build(node)


def observers(cfg: DictConfig, run: OnlineRun) -> list[Any]:
    """Build the callbacks that look at errors and selection, and add to the run's summary.

    Args:
        cfg: the resolved configuration
        run: what the run is made of

    Raises:
        UserError: if a value is refused, or the source domain's data cannot be used.
    """
    from callbacks.backward_transfer import BackwardTransfer
    from callbacks.diagnostics import SelectionDiagnostics
    from callbacks.frozen_twin import FrozenTwin
    from callbacks.gallery import Gallery
    from callbacks.latency import Latency
    from callbacks.verdict import Verdict
    from datamodules.stream import WindowLoader
    from datamodules.video.clips import is_live
    from pose_oad.online.clocks import InstantClock

    loader = run.data.loader
    rate = loader.source.clips[0].played_rate(cfg.window.camera_rate)
    watching: list[Any] = [SelectionDiagnostics(rate)]
    twin = cfg.metric.frozen_twin
    check(isinstance(twin, bool), "metric.frozen_twin", twin, "true or false")
    if twin and cfg.predictor == "student":
        watching += [
            FrozenTwin(run.evaluation, rate),
            Verdict(run.evaluation.skeleton, run.evaluation.measurement.against),
        ]
    if cfg.output.figures and cfg.predictor == "student":
        watching.append(Gallery(run.evaluation.skeleton))
    clock = run.module.loop.clock
    if not isinstance(clock, InstantClock):
        fixed = run.module.loop.learner.options.unit != "epochs"
        watching.append(Latency(clock, run.evaluation.measurement.rule, fixed))
    if cfg.retention.root:
        from callbacks.retention import Retention

        watching.append(Retention(_source_domain(cfg, run), cfg.retention.every, cfg.retention.images))
    if cfg.metric.final_pass and cfg.predictor == "student":
        check(not is_live(loader.source), "metric.final_pass", True, "false: a live stream plays once")
        watching.append(BackwardTransfer(lambda: WindowLoader(loader.source, loader.options), run.evaluation))
    return watching


def _source_domain(cfg: DictConfig, run: OnlineRun) -> CocoDataModule:
    """Read the validation set of the data the student was pre-trained on."""
    from datamodules.coco import CocoDataModule
    from datamodules.coco.augmentation import AugmentationConfig

    student, options = run.module.student, cfg.retention
    check(Path(str(options.root)).is_dir(), "retention.root", options.root, "the folder of a COCO tree, or null")
    data = CocoDataModule(
        Path(options.root),
        student.skeleton,
        student.input_size,
        student.map_size,
        augmentation=AugmentationConfig(),
        val=options.split,
        batch_size=cfg.metric.batch_size,
        resize_mode=student.config.resize_mode,
        image_folder=options.get("image_folder"),
        category=options.get("category"),
        missing_images=options.get("missing_images", "refuse"),
    )
    data.setup("validate")
    return data


def stream_options(cfg: DictConfig, source: FrameSource, student: PoseStudent, teacher: Teacher) -> StreamOptions:
    """Read how a stream is cut into windows from a configuration's ``window`` and ``teacher`` nodes."""
    from datamodules.video.clips import is_live
    from datamodules.video.frames import FrameCache
    from datamodules.windowing import StreamOptions, check_rate, window_length

    check_rate(cfg.window.camera_rate)
    rate = source.clips[0].played_rate(cfg.window.camera_rate) * source.together
    check(
        not (cfg.window.cache and is_live(source)), "window.cache", cfg.window.cache, "null: a live stream plays once"
    )
    return StreamOptions(
        window_frames=window_length(cfg.window.seconds, cfg.window.frames, rate),
        input_size=student.input_size,
        resize_mode=cfg.window.resize_mode,
        rate=cfg.window.camera_rate,
        teacher_image_size=teacher.image_size,
        teacher_every=cfg.teacher.every,
        decoder_threads=cfg.window.decoder_threads,
        cache=FrameCache(Path(cfg.window.cache)) if cfg.window.cache else None,
    )


def plays_once(stream: DictConfig) -> bool:
    """Say whether a stream's frames are gone when they have been played, as a camera's.

    Args:
        stream: the config node

    Raises:
        UserError: if there is no source of that name.
    """
    return bool(getattr(factory_of(stream), "plays_once", False))


def make_trainer(values: Mapping[str, Any], **own: Any) -> Trainer:
    """Build Lightning's trainer.

    Args:
        values: the config node ``trainer``, in plain values
        own: arguments that are not the user's

    Raises:
        UserError: if a value is refused.
    """
    from lightning import Trainer
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    precision = values.get("precision")
    check(precision in _PRECISIONS, "trainer.precision", precision, ", ".join(map(str, _PRECISIONS)))
    try:
        return Trainer(enable_model_summary=False, **own, **values)
    except (MisconfigurationException, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"trainer={dict(values)}: refused by Lightning: {error}") from error


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
