"""Learning poses from annotated images, before any stream: the Lightning module of pre-training and fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from pose_oad.offline.source_domain import AnnotatedData, LabelledImages, SourceDomainEvaluation
from pose_oad.online.objectives import map_loss
from pose_oad.students import StudentConfig, build_student
from pose_oad.students.divergence import stop_if_diverged
from pose_oad.tracking.schema import NotNegative, Positive, check_value

Schedule = Literal["one_cycle", "steps", "constant"]
_WARM_UP = 0.15  # share of the training in which one_cycle's rate rises


class PretrainModule(LightningModule):
    """A student that learns confidence maps and part affinity fields from annotated people.

    Validation logs, over the whole validation images:

    - ``val/loss``: the training objective;
    - ``val/AP``, ``val/AP50``, ``val/mpjpe_px``: see :class:`SourceDomainEvaluation`;
    - ``val/score``: what picks the checkpoint, see :func:`checkpoint_score`.

    Attributes:
        student: the network
    """

    _evaluation: SourceDomainEvaluation

    def __init__(
        self,
        student: Mapping[str, Any],
        learning_rate: float = 1e-3,
        schedule: str = "one_cycle",
        milestones: Sequence[int] = (75, 150),
        foreground: float = 0.0,
    ) -> None:
        """Build the student; the arguments are plain values (keys of ``conf/pretrain.yaml``), kept in checkpoints."""
        super().__init__()
        check_value(Positive, learning_rate, "optimiser.learning_rate")
        check_value(Schedule, schedule, "optimiser.schedule")
        check_value(NotNegative, foreground, "objective.foreground")
        student, milestones = dict(student) | {"foreground": float(foreground)}, list(milestones)
        self.save_hyperparameters()
        self.student = build_student(StudentConfig.from_dict(student))
        self._figures: dict[str, float] = {}

    def figures(self) -> dict[str, float]:
        """Return the newest figures by logged name, those of before the training was stopped too."""
        return self._figures | {name: float(value) for name, value in self.trainer.callback_metrics.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the figures."""
        checkpoint["figures"] = self.figures()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the figures on."""
        self._figures = checkpoint["figures"]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict maps of normalised images; see :meth:`PoseStudent.forward`."""
        return self.student(images)

    def training_step(self, batch: LabelledImages, batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        loss = self._loss(self(self.student.normalise(batch.images)), batch)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.images), prog_bar=True)
        return loss

    def validation_step(self, batch: LabelledImages, batch_index: int) -> None:
        """Take the loss, and collect who was found where."""
        maps = self(self.student.normalise(batch.images))
        self.log("val/loss", self._loss(maps, batch), batch_size=len(batch.images), sync_dist=True)
        self._evaluation.update(self.student.decode(maps, "many"), batch)

    def on_validation_epoch_start(self) -> None:
        """Forget who was found before."""
        category = self._annotated().category_id
        student = self.student
        self._evaluation = SourceDomainEvaluation(student.skeleton, student.input_size, category, student.resize_mode)

    def on_train_epoch_end(self) -> None:
        """Stop if the training has diverged; called before the epoch's state is kept."""
        self._stop_if_diverged("train/loss")

    def on_validation_epoch_end(self) -> None:
        """Log the figures over everything that was predicted, on whichever device."""
        self._stop_if_diverged("val/loss")
        self._gather()
        figures = self._evaluation.compute(self._annotated().ground_truth)
        # A set without anybody to be found has no precision.
        ap, ap50 = (0.0 if math.isnan(figures[name]) else figures[name] for name in ("AP", "AP50"))
        self.log("val/AP", ap, prog_bar=True)
        self.log("val/AP50", ap50)
        people = self._annotated().ground_truth.dataset["annotations"]
        labelled = sum(person["num_keypoints"] > 0 and not person["iscrowd"] for person in people)
        self.log("val/score", checkpoint_score(float(self.trainer.callback_metrics["val/loss"]), ap, ap50, labelled))
        if not math.isnan(figures["mpjpe_px"]):
            self.log("val/mpjpe_px", figures["mpjpe_px"], prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam and, unless constant, the schedule of its rate."""
        optimiser = torch.optim.Adam(self.student.parameters(), lr=self.hparams["learning_rate"])
        schedule = self.hparams["schedule"]
        if schedule == "constant":
            return {"optimizer": optimiser}
        if schedule == "steps":
            steps = torch.optim.lr_scheduler.MultiStepLR(optimiser, self.hparams["milestones"], gamma=0.1)
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": steps, "interval": "epoch"}}
        total = self.trainer.estimated_stepping_batches
        timer = next((part for part in self.trainer.callbacks if isinstance(part, Timer)), None)  # type: ignore[attr-defined]
        allowed = timer and timer.time_elapsed() + (timer.time_remaining() or 0)

        def rate(step: int) -> float:
            return one_cycle(max(step / total, timer.time_elapsed() / allowed if timer and allowed else 0.0))

        cycle = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def _loss(self, maps: tuple[Tensor, Tensor], batch: LabelledImages) -> Tensor:
        target = self.student.targets(batch.keypoints)
        return map_loss(
            *maps,
            target,
            self.student.skeleton,
            batch.joint_mask,
            batch.pixel_mask,
            foreground=self.hparams["foreground"],
        )

    def _stop_if_diverged(self, loss: str) -> None:
        rate = self.hparams["learning_rate"]
        stop_if_diverged(self, self.student, "optimiser.learning_rate", rate, self.trainer.callback_metrics[loss])

    def _annotated(self) -> AnnotatedData:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _gather(self) -> None:
        """Join what every process has collected."""
        if self.trainer.world_size == 1:
            return
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, self._evaluation)
        self.on_validation_epoch_start()
        self._evaluation.merge(parts)


def checkpoint_score(loss: float, ap: float, ap50: float, people: int) -> float:
    """Say how good a checkpoint is, larger is better: by AP where AP means something, else by the validation loss.

    AP (fractions, as AP50) means something where AP50 is at least .05 and two standard errors above 0, taking it for
    the share p of people who are found: p >= 2 sqrt(p (1 - p) / people), that is p >= 4 / (people + 4). Any such
    checkpoint is better than any other.
    """
    return ap if ap50 >= max(0.05, 4 / (people + 4)) else -loss


def one_cycle(progress: float) -> float:
    """Return the learning rate, as a fraction of its largest, of a rise followed by a cosine to zero.

    A short form of the schedule of Smith and Topin, "Super-convergence" (2018), without its change of momentum;
    ``progress`` is the share of the training that is done, 0 to 1 (more counts as 1).
    """
    if progress < _WARM_UP:
        return 0.04 + 0.96 * progress / _WARM_UP
    descent = min(1.0, (progress - _WARM_UP) / (1 - _WARM_UP))
    return 0.5 * (1 + math.cos(math.pi * descent))
