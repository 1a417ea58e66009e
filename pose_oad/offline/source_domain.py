"""How good a student is where it comes from: on annotated images of people.

Pre-training validates with it, and an online run measures with it what adaptation has cost, so that the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from pycocotools.coco import COCO
from torch import Tensor

from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.poses.geometry import Fit, FrameFit
from pose_oad.poses.maps import decode_single
from pose_oad.poses.maps.people import decode_people
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students import PoseStudent
from pose_oad.students.config import STRIDE


class LabelledImages(Protocol):
    """What a batch holds; :class:`datamodules.coco.PoseBatch` says it in full."""

    images: Tensor
    keypoints: Tensor
    joint_mask: Tensor
    pixel_mask: Tensor
    image_ids: Tensor
    frame_sizes: Tensor


class AnnotatedData(Protocol):
    """What evaluation needs of a data module beside its batches: whom pycocotools should expect to be found."""

    @property
    def ground_truth(self) -> COCO:
        """The people of the validation images, with the set's own joints."""

    @property
    def category_id(self) -> int:
        """COCO's id of the category."""


class ValidationData(AnnotatedData, Protocol):
    """A data module that can be evaluated on, as :class:`datamodules.coco.CocoDataModule` can."""

    def setup(self, stage: str | None = None) -> None:
        """Read what the stage needs; ``validate`` needs no training images."""

    def val_dataloader(self) -> Iterable[LabelledImages]:
        """Return batches of the validation images, in order."""


class SourceDomainEvaluation:
    """Collect who was found where, image by image, and compute the figures at the end.

    - ``AP``, ``AP50``: OKS average precision of all people, by pycocotools
    - ``mpjpe_px``: over the images with exactly one person, labelled, and no ignored area, the mean distance (px of the
      original image) between labelled joints and the maxima of their confidence maps. A maximum always exists, so no
      joint is left out.

    Args:
        skeleton: joint set of the maps
        input_size: width and height of the network input, px
        category_id: the category's id in the ground truth
        fit: how the images lie in the input
        foreground: additional weight of a joint's cells in the network's training
    """

    def __init__(
        self,
        skeleton: Skeleton,
        input_size: tuple[int, int],
        category_id: int,
        fit: Fit = "letterbox",
        foreground: float = 0.0,
    ) -> None:
        self._skeleton, self._input_size, self._category = skeleton, input_size, category_id
        self._fit, self._foreground = fit, foreground
        self._results: list[dict[str, Any]] = []
        self._images: list[int] = []
        self._distances: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._images)

    def update(self, maps: tuple[Tensor, Tensor], batch: LabelledImages) -> None:
        """Take in the maps of some images.

        Args:
            maps: what the network predicts for the batch's first images, or for all: confidence maps, shape (images,
                joints, rows, columns), and part affinity fields, shape (images, limbs, 2, rows, columns)
            batch: the images and their people
        """
        cmaps, pafs = (part.float() for part in maps)
        people = decode_people(cmaps, pafs, self._skeleton, foreground=self._foreground)
        single = decode_single(cmaps).cpu()
        found, scores, truth = people.keypoints.cpu(), people.scores.cpu(), batch.keypoints.cpu()
        alone = ((truth[..., 2] > 0).any(-1).sum(1) == 1) & batch.pixel_mask.flatten(1).all(1).cpu()
        sizes, numbers = batch.frame_sizes.tolist(), batch.image_ids.tolist()
        for at in range(len(cmaps)):
            fit = FrameFit.of(tuple(sizes[at]), self._input_size, self._fit)
            located = fit.to_frame(_to_input(found[at]))
            located = torch.where(located[..., 2:] > 0, located, 0.0)
            self._results += to_results(located, scores[at], self._skeleton, numbers[at], self._category)
            self._images.append(numbers[at])
            if alone[at]:
                person = truth[at][(truth[at, :, :, 2] > 0).any(-1)][0]
                offset = fit.to_frame(_to_input(single[at])) - fit.to_frame(person)
                self._distances.append(offset[person[:, 2] > 0, :2].norm(dim=-1))

    def merge(self, others: Iterable[SourceDomainEvaluation]) -> None:
        """Take in what others have collected, as those of other processes."""
        for other in others:
            self._results += other._results
            self._images += other._images
            self._distances += other._distances

    def compute(self, ground_truth: COCO) -> dict[str, float]:
        """Return ``AP``, ``AP50`` (fractions) and ``mpjpe_px`` over the images taken in; NaN where undefined.

        Args:
            ground_truth: people with the set's own joints
        """
        precision = average_precision(ground_truth, self._results, self._skeleton, self._images)
        error = float(torch.cat(self._distances).mean()) if self._distances else float("nan")
        return {"AP": precision["AP"], "AP50": precision["AP50"], "mpjpe_px": error}


@torch.inference_mode()
def evaluate_on_source(student: PoseStudent, data: ValidationData, images: int | None = None) -> dict[str, float]:
    """Evaluate a student on the validation images of its source domain; it is left as it was.

    Args:
        student: the network
        data: the images and their people, set up, laid into the input as the network's fit says
        images: only so many images, the first ones; None takes all

    Returns:
        ``AP``, ``AP50`` (fractions) and ``mpjpe_px``, see :class:`SourceDomainEvaluation`.
    """
    config = student.config
    evaluation = SourceDomainEvaluation(
        student.skeleton, student.input_size, data.category_id, config.fit, config.foreground
    )
    with _evaluating(student):
        for batch in data.val_dataloader():
            wanted = None if images is None else images - len(evaluation)
            if wanted == 0:
                break
            evaluation.update(student(student.normalise(batch.images[:wanted])), batch)
    return evaluation.compute(data.ground_truth)


@contextmanager
def _evaluating(student: PoseStudent) -> Iterator[None]:
    """Put a network into evaluation mode, and every layer back into its own afterwards."""
    training = {layer: layer.training for layer in student.modules()}
    student.eval()
    try:
        yield
    finally:
        for layer, mode in training.items():
            layer.training = mode


def _to_input(cells: Tensor) -> Tensor:
    """Convert keypoints from map cells to px of the network input."""
    return cells * cells.new_tensor((STRIDE, STRIDE, 1))
