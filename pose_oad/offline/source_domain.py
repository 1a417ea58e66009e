"""How good a student is where it comes from: on annotated images of people.

Pre-training validates with it, and an online run measures with it what adaptation has cost, so that the two agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from pycocotools.coco import COCO
from torch import Tensor

from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.metrics.sides import sides_told
from pose_oad.poses.geometry import FrameResize, ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students.keypoints import PoseNetwork, Poses


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

    - ``AP``, ``AP50`` and the others of pycocotools: OKS average precision and recall of all people
    - ``mpjpe_px``: over the images with exactly one person, labelled, and no ignored area, the mean distance (px of the
      original image) between labelled joints and the maxima of their confidence maps. A maximum always exists, so no
      joint is left out.
    - ``sides``: share of the pairs of a left and a right joint found that are on their own sides, see
      :func:`~pose_oad.metrics.sides.sides_told`

    Args:
        skeleton: joint set of the network
        input_size: width and height of the network input, px
        category_id: the category's id in the ground truth
        resize_mode: how the images lie in the input
    """

    def __init__(
        self, skeleton: Skeleton, input_size: tuple[int, int], category_id: int, resize_mode: ResizeMode = "letterbox"
    ) -> None:
        self._skeleton, self._input_size, self._category, self._resize_mode = (
            skeleton,
            input_size,
            category_id,
            resize_mode,
        )
        self._results: list[dict[str, Any]] = []
        self._images: list[int] = []
        self._distances: list[Tensor] = []
        self._sides: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._images)

    def update(self, poses: Poses, batch: LabelledImages) -> None:
        """Take in who was found in some images.

        Args:
            poses: what the network finds in the batch's first images, or in all: one person by ``argmax``, and
                everybody
            batch: the images and their people
        """
        (found, scores), truth = poses.people, batch.keypoints.cpu()
        alone = ((truth[..., 2] > 0).any(-1).sum(1) == 1) & batch.pixel_mask.flatten(1).all(1).cpu()
        sizes, numbers = batch.frame_sizes.tolist(), batch.image_ids.tolist()
        for at in range(len(found)):
            resize = FrameResize.of(tuple(sizes[at]), self._input_size, self._resize_mode)
            located = resize.to_frame(found[at])
            located = torch.where(located[..., 2:] > 0, located, 0.0)
            self._results += to_results(located, scores[at], self._skeleton, numbers[at], self._category)
            self._images.append(numbers[at])
            self._sides.append(sides_told(found[at], truth[at], self._skeleton))
            if alone[at]:
                person = truth[at][(truth[at, :, :, 2] > 0).any(-1)][0]
                offset = resize.to_frame(poses.single[at]) - resize.to_frame(person)
                self._distances.append(offset[person[:, 2] > 0, :2].norm(dim=-1))

    def merge(self, others: Iterable[SourceDomainEvaluation]) -> None:
        """Take in what others have collected, as those of other processes."""
        for other in others:
            self._results += other._results
            self._images += other._images
            self._distances += other._distances
            self._sides += other._sides

    def compute(self, ground_truth: COCO) -> dict[str, float]:
        """Return average precisions and recalls (fractions), ``mpjpe_px`` and ``sides``; NaN where undefined.

        Args:
            ground_truth: people with the set's own joints
        """
        precision = average_precision(ground_truth, self._results, self._skeleton, self._images)
        error = float(torch.cat(self._distances).mean()) if self._distances else float("nan")
        right, pairs = (sum(counts) for counts in zip((0, 0), *self._sides, strict=True))
        return precision | {"mpjpe_px": error, "sides": right / pairs if pairs else float("nan")}


def evaluate_on_source(student: PoseNetwork, data: ValidationData, images: int | None = None) -> dict[str, float]:
    """Evaluate a student on the validation images of its source domain; it is left as it was.

    Args:
        student: the network
        data: the images and their people, set up, laid into the input as the network's resize mode says
        images: only so many images, the first ones; None takes all

    Returns:
        ``AP``, ``AP50`` (fractions) and ``mpjpe_px``, see :class:`SourceDomainEvaluation`.
    """
    figures = measure_on_images({"": student}, data.val_dataloader(), data, student.resize_mode, images)[""]
    return {name: figures[name] for name in ("AP", "AP50", "mpjpe_px")}


def measure_on_images(
    networks: Mapping[str, PoseNetwork],
    batches: Iterable[LabelledImages],
    data: AnnotatedData,
    resize_mode: ResizeMode,
    images: int | None = None,
) -> dict[str, dict[str, float]]:
    """Measure networks of one input size on the same annotated images.

    Args:
        networks: who is measured, by name
        batches: the images
        data: says who is in them
        resize_mode: how they lie in the input
        images: only so many of them, the first ones; None takes all

    Returns:
        The figures of :meth:`SourceDomainEvaluation.compute` for each network, by its name.
    """
    category, seen = data.category_id, 0
    evaluations = {
        name: SourceDomainEvaluation(network.skeleton, network.input_size, category, resize_mode)
        for name, network in networks.items()
    }
    for batch in batches:
        shown = batch.images if images is None else batch.images[: images - seen]
        if not len(shown):
            break
        for name, network in networks.items():
            evaluations[name].update(network.keypoints(shown, "many", len(shown), "argmax"), batch)
        seen += len(shown)
    return {name: evaluation.compute(data.ground_truth) for name, evaluation in evaluations.items()}
