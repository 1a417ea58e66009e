"""Learning from a fixed set of labelled frames: the Lightning module of the offline study, and how it is fitted."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities.types import LRSchedulerTypeUnion, OptimizerLRScheduler
from torch import Tensor

from pose_oad.metrics.keypoints import MissingRule
from pose_oad.offline.frame_store import FrameSet
from pose_oad.online.batch import LabelledBatch
from pose_oad.online.breakdown import Breakdown
from pose_oad.online.learner import freeze_batch_norm
from pose_oad.online.losses import Losses
from pose_oad.online.objectives import MapRegression
from pose_oad.online.options import TrainingOptions
from pose_oad.students import PoseStudent
from pose_oad.students.divergence import stop_if_diverged
from pose_oad.tracking.checkpoint_io import AtomicCheckpointIO
from pose_oad.tracking.errors import check

#: Names of what may steer the learning rate and pick the checkpoint: the error against the truth, px, and the loss on
#: a teacher's labels.
VALIDATION_ERROR, TEACHER_LOSS = "val/mpjpe_px", "val/teacher_loss"


@dataclass(frozen=True)
class Plateau:
    """When the learning rate is reduced.

    Attributes:
        factor: what it is multiplied by
        patience: epochs without a smaller validation figure that are let pass before
    """

    factor: float = 0.1
    patience: int = 2

    def __post_init__(self) -> None:
        """Refuse unusable values.

        Raises:
            UserError: naming the config key.
        """
        number = isinstance(self.factor, int | float) and not isinstance(self.factor, bool)
        check(number and 0 < self.factor < 1, "training.plateau.factor", self.factor, "a factor between 0 and 1")
        whole = isinstance(self.patience, int) and not isinstance(self.patience, bool)
        check(whole and self.patience >= 0, "training.plateau.patience", self.patience, "a number of epochs, 0 or more")


class FinetuneModule(LightningModule):
    """A pre-trained student that learns from labelled frames of many windows together.

    Validation, on frames that are not trained on, logs one figure: ``val/mpjpe_px``, the error against their true
    person, px of the reported image, or ``val/teacher_loss``, the training loss on a teacher's labels.

    Args:
        student: the network, pre-trained
        options: epochs, batch size, learning rate, batch norm and loss
        plateau: when the learning rate is reduced
        rule: what becomes of joints that are not found in validation
        monitor: the figure, which steers the learning rate and picks the checkpoint

    Attributes:
        student: the network as it is now

    Raises:
        UserError: if the options ask for what only a stream can give.
    """

    def __init__(
        self,
        student: PoseStudent,
        options: TrainingOptions,
        plateau: Plateau,
        rule: MissingRule,
        monitor: str = VALIDATION_ERROR,
    ) -> None:
        super().__init__()
        check(
            options.labels == "keypoints",
            "training.labels",
            options.labels,
            "keypoints (a teacher's maps are not kept beyond their window)",
        )
        self.student, self.options, self.plateau, self.rule = student.train(), options, plateau, rule
        self.monitor = monitor
        self._losses = Losses(student, MapRegression(options.foreground), options)
        self._validation = Breakdown(student.skeleton, rule)
        self._maps: tuple[Tensor, ...] = ()  # of one validation frame
        self.save_hyperparameters({"student": student.config.to_dict()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam over all layers, its rate reduced when the validation figure stops falling."""
        optimizer = torch.optim.Adam(self.student.parameters(), lr=self.options.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=self.plateau.factor, patience=self.plateau.patience
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": self.monitor}}

    def lr_scheduler_step(self, scheduler: LRSchedulerTypeUnion, metric: Any) -> None:
        """Do nothing: Lightning's step comes after the epoch's state has been kept, which would lack it forever."""

    def on_train_epoch_end(self) -> None:
        """Reduce the learning rate if it is time to; called before the epoch's state is kept."""
        schedule = cast(torch.optim.lr_scheduler.ReduceLROnPlateau, self.lr_schedulers())
        schedule.step(float(self.trainer.callback_metrics[self.monitor]))

    def on_train_start(self) -> None:
        """Let the student's description, also that in checkpoints, say what it is trained with."""
        self.student.trained_with(self.options.foreground)
        self.hparams["student"] = self.student.config.to_dict()

    def on_train_epoch_start(self) -> None:
        """Put the student into training mode, its batch norm as the options say."""
        self.student.train()
        if self.options.batch_norm == "frozen":
            freeze_batch_norm(self.student)

    def training_step(self, batch: LabelledBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self._loss(batch)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.frames), logger=False)
        return loss

    def _loss(self, batch: LabelledBatch) -> Tensor:
        losses = self._losses
        return losses.objective(losses.outputs(batch.frames), losses.target(batch)).total

    def on_validation_epoch_start(self) -> None:
        """Forget the errors of the epoch before."""
        self._validation = Breakdown(self.student.skeleton, self.rule)

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Take the loss or the errors of one batch."""
        if batch_idx == 0:
            self._maps = self.student(self.student.normalise(batch.frames[:1]))
        if self.monitor == TEACHER_LOSS:
            self.log(TEACHER_LOSS, self._loss(batch), batch_size=len(batch.frames), logger=False)
            return
        predicted = self.student.keypoints(batch.frames, batch_size=len(batch.frames)).single
        assert batch.metric_scale is not None
        scale = torch.nn.functional.pad(batch.metric_scale, (0, 1), value=1.0)[:, None].cpu()
        self._validation.update(predicted * scale, batch.keypoints[:, 0].cpu() * scale)

    def on_validation_epoch_end(self) -> None:
        """Log the validation error, or stop if the training has diverged; called before weights are kept."""
        stop_if_diverged(self, self.student, "training.learning_rate", self.options.learning_rate, *self._maps)
        if self.monitor == VALIDATION_ERROR:
            self.log(VALIDATION_ERROR, self._validation.values()["mpjpe_px"], logger=False)


class EpochLogger(Callback):
    """Send an epoch's loss, validation figure and learning rate to the tracking store in one call.

    Args:
        logger: the run's logger
        logged: number of epochs that have been logged before the run was stopped
    """

    def __init__(self, logger: MLFlowLogger, logged: int = 0) -> None:
        self.logger, self.logged = logger, logged

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log one epoch, numbered from 1; the rate is the one the epoch was trained with."""
        if trainer.current_epoch < self.logged:
            return
        validated = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        known = {name: float(v) for name, v in trainer.callback_metrics.items() if validated or name[:4] != "val/"}
        values = known | {"lr": trainer.optimizers[0].param_groups[0]["lr"]}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.logger.log_metrics(finite, step=trainer.current_epoch + 1)


def fine_tune(
    trainer: Trainer, module: FinetuneModule, chosen: FrameSet, validation: FrameSet, checkpoint: Path, unfinished: Path
) -> float:
    """Train a student on the chosen frames and keep its weights of the epoch with the smallest validation figure.

    With nobody in the chosen frames, nothing is trained and the student's weights are kept as they are. A training that
    was stopped goes on behind its last finished epoch.

    Args:
        trainer: runs the epochs
        module: student and options; afterwards the student has the weights of the last epoch, not those kept
        chosen: labelled frames to train on
        validation: frames with their true person, or a teacher's people, as the module's figure needs
        checkpoint: file the kept weights are written to, in one step at the end
        unfinished: folder of ``last.ckpt``, the whole state after the last finished epoch, and of the best weights so
            far; on the same disk as the checkpoint

    Returns:
        The validation figure of the kept weights.
    """
    measured = validation.loader(64)
    kept, last = unfinished / "student.ckpt", unfinished / "last.ckpt"
    trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    if not (chosen.content.keypoints[..., 2] > 0).any():
        trainer.validate(module, measured, verbose=False)
        trainer.save_checkpoint(kept, weights_only=True)
        error = float(trainer.callback_metrics[module.monitor])
    else:
        best = ModelCheckpoint(
            unfinished, kept.stem, module.monitor, save_weights_only=True, enable_version_counter=False
        )
        state = ModelCheckpoint(unfinished, last.stem, enable_version_counter=False)
        # The state comes second: it knows then which weights are the best.
        trainer.callbacks += [best, state]  # type: ignore[attr-defined]
        options = module.options
        whole = options.trained(len(chosen)) < len(chosen)
        batches = chosen.loader(options.batch_size, options.seed, drop_last=whole)
        trainer.fit(module, batches, measured, ckpt_path=last if last.is_file() else None, weights_only=True)
        error = float(best.best_model_score) if best.best_model_score is not None else math.nan
    if kept.exists():  # not so when the training had been finished before
        os.replace(kept, checkpoint)
    return error
