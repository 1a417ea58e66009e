"""Learning poses from annotated images, before any stream: the Lightning module of pre-training and fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from pycocotools.coco import COCO
from torch import Tensor

from pose_oad.errors import UserError, check, nearest
from pose_oad.geometry import FrameFit
from pose_oad.maps import decode_single
from pose_oad.maps.people import decode_people
from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.objectives import map_loss
from pose_oad.students import StudentConfig, build_student
from pose_oad.students.config import STRIDE

SCHEDULES = ("one_cycle", "steps", "constant")
_WARM_UP = 0.15  # share of the training in which one_cycle's rate rises


class LabelledImages(Protocol):
    """What a batch holds; :class:`datamodules.coco.PoseBatch` says it in full."""

    images: Tensor
    keypoints: Tensor
    joint_mask: Tensor
    pixel_mask: Tensor
    image_ids: Tensor
    frame_sizes: Tensor


class AnnotatedData(Protocol):
    """What validation needs of the data module beside its batches: whom pycocotools should expect to be found."""

    ground_truth: COCO
    category_id: int


class PretrainModule(LightningModule):
    """A student that learns confidence maps and part affinity fields from annotated people.

    Validation logs, over the letterboxed validation images:

    - ``val/loss``: the training objective;
    - ``val/AP``, ``val/AP50``: OKS average precision of all people, by pycocotools;
    - ``val/mpjpe_px``: over the images with exactly one person, labelled, and no ignored area, the mean distance (px of
      the original image) between labelled joints and the maxima of their confidence maps. A maximum always exists, so
      no joint is left out.

    Attributes:
        student: the network
    """

    def __init__(
        self,
        student: Mapping[str, Any],
        learning_rate: float = 1e-3,
        schedule: str = "one_cycle",
        milestones: Sequence[int] = (75, 150),
        foreground: float = 0.0,
    ) -> None:
        """Build the student; all arguments are plain values and travel in the checkpoint.

        Args:
            student: description of the network, the fields of :class:`StudentConfig`
            learning_rate: Adam's (its largest, where the schedule varies it)
            schedule: ``one_cycle`` (a rise, then a cosine to zero at the end of training), ``steps`` (divided by ten at
                each milestone) or ``constant``
            milestones: epochs at which ``steps`` divides
            foreground: additional weight of map cells where something is (see :func:`map_loss`); 0 is the paper's

        Raises:
            UserError: if a value is refused.
        """
        super().__init__()
        check(learning_rate > 0, "optimiser.learning_rate", learning_rate, "a number above 0")
        check(foreground >= 0, "objective.foreground", foreground, "0 or more")
        if schedule not in SCHEDULES:
            raise UserError(f"optimiser.schedule={schedule}: unknown schedule{nearest(schedule, SCHEDULES)}")
        student, milestones = dict(student), list(milestones)
        self.save_hyperparameters()
        self.student = build_student(StudentConfig.from_dict(student))
        self._results: list[dict[str, Any]] = []
        self._seen: list[int] = []

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
        cmaps, pafs = (part.float() for part in maps)
        people = decode_people(cmaps, pafs, self.student.skeleton)
        single = decode_single(cmaps)
        skeleton, category = self.student.skeleton, self._annotated().category_id
        errors = []
        for at, (image_id, size) in enumerate(zip(batch.image_ids.tolist(), batch.frame_sizes.tolist(), strict=True)):
            fit = FrameFit.of(tuple(size), self.student.input_size, "letterbox")
            found = fit.to_frame(_to_input(people.keypoints[at]))
            found = torch.where(found[..., 2:] > 0, found, 0.0)
            self._results += to_results(found, people.scores[at], skeleton, image_id, category)
            self._seen.append(image_id)
            truth = batch.keypoints[at][(batch.keypoints[at, :, :, 2] > 0).any(-1)]
            if len(truth) == 1 and bool(batch.pixel_mask[at].all()):
                offset = fit.to_frame(_to_input(single[at])) - fit.to_frame(truth[0])
                errors.append(offset[truth[0, :, 2] > 0, :2].norm(dim=-1))
        if errors:
            distances = torch.cat(errors)
            self.log("val/mpjpe_px", distances.mean(), batch_size=len(distances), sync_dist=True, prog_bar=True)

    def on_validation_epoch_start(self) -> None:
        """Forget who was found before."""
        self._results, self._seen = [], []

    def on_validation_epoch_end(self) -> None:
        """Log the average precision over everything that was predicted, on whichever device."""
        results, seen = self._gathered(self._results), self._gathered(self._seen)
        precision = average_precision(self._annotated().ground_truth, results, self.student.skeleton, seen)
        # A set without anybody to be found has no precision; 0 keeps "best checkpoint" defined.
        for name in ("AP", "AP50"):
            self.log(f"val/{name}", 0.0 if math.isnan(precision[name]) else precision[name], prog_bar=name == "AP")

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
        cycle = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step / total))
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

    def _annotated(self) -> AnnotatedData:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _gathered(self, part: list[Any]) -> list[Any]:
        """Join what every process holds."""
        if self.trainer.world_size == 1:
            return part
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, part)
        return [entry for of_process in parts for entry in of_process]


def one_cycle(progress: float) -> float:
    """Return the learning rate, as a fraction of its largest, of a rise followed by a cosine to zero.

    A short form of the schedule of Smith and Topin, "Super-convergence" (2018), without its change of momentum.

    Args:
        progress: share of the training that is done, 0 to 1 (more counts as 1)
    """
    if progress < _WARM_UP:
        return 0.04 + 0.96 * progress / _WARM_UP
    descent = min(1.0, (progress - _WARM_UP) / (1 - _WARM_UP))
    return 0.5 * (1 + math.cos(math.pi * descent))


def _to_input(cells: Tensor) -> Tensor:
    """Convert keypoints from map cells to px of the network input."""
    return cells * cells.new_tensor((STRIDE, STRIDE, 1))
