"""Students measured on the same frames, which are decoded once for all that want them at one size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from pycocotools.coco import COCO

from pose_oad.metrics.coco_ap import average_precision
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.offline.source_domain import LabelledImages, SourceDomainEvaluation
from pose_oad.online.breakdown import GroupedErrors, Locator, measure_located
from pose_oad.online.window import FrameWindow
from pose_oad.poses.geometry import Fit
from pose_oad.predict.networks import Predictor
from pose_oad.students.keypoints import read_poses


class CocoEvaluation(SourceDomainEvaluation):
    """As :class:`SourceDomainEvaluation`, with every figure that pycocotools computes."""

    def compute(self, ground_truth: COCO) -> dict[str, float]:
        """Return average precisions and recalls (fractions), and ``mpjpe_px``; NaN where undefined.

        Args:
            ground_truth: people with the set's own joints
        """
        precision = average_precision(ground_truth, self._results, self._skeleton, self._images)
        alone = torch.cat(self._distances) if self._distances else torch.zeros(0)
        return {**precision, "mpjpe_px": float(alone.mean())}


def measure_stream(
    windows: Iterable[FrameWindow],
    predictors: Mapping[str, Predictor],
    rule: MissingRule,
    batch_size: int,
    people: str = "auto",
) -> dict[str, GroupedErrors]:
    """Measure predictors against the ground truth of videos.

    Args:
        windows: the videos, at the predictors' input size
        predictors: who is measured, by name
        rule: what becomes of joints that are not found
        batch_size: frames per forward pass
        people: as for :func:`~pose_oad.online.breakdown.measure_located`

    Returns:
        The errors of each predictor, by its name.

    Raises:
        UserError: if the videos have no ground truth.
    """
    locators = {
        name: Locator(predictor.skeleton, partial(read_poses, predictor.maps, predictor, batch_size=batch_size))
        for name, predictor in predictors.items()
    }
    return measure_located(windows, locators, rule, people)


def measure_coco(
    batches: Iterable[LabelledImages],
    predictors: Mapping[str, Predictor],
    ground_truth: COCO,
    category_id: int,
    fit: Fit,
) -> dict[str, dict[str, float]]:
    """Measure everybody who is found in annotated images.

    Args:
        batches: images at the predictors' input size
        predictors: who is measured, by name
        ground_truth: people with the set's own joints
        category_id: the category's id in the ground truth
        fit: how the images lie in the input

    Returns:
        The figures of :meth:`CocoEvaluation.compute` for each predictor, by its name.
    """
    evaluations = {
        name: CocoEvaluation(predictor.skeleton, predictor.input_size, category_id, fit, predictor.foreground)
        for name, predictor in predictors.items()
    }
    for batch in batches:
        for name, predictor in predictors.items():
            evaluations[name].update(predictor.maps(batch.images), batch)
    return {name: evaluation.compute(ground_truth) for name, evaluation in evaluations.items()}


def alike(predictors: Mapping[str, Predictor], *attributes: str) -> list[dict[str, Predictor]]:
    """Group predictors that agree in some attributes, in the order of their first members."""
    groups: dict[tuple[Any, ...], dict[str, Predictor]] = {}
    for name, predictor in predictors.items():
        groups.setdefault(tuple(getattr(predictor, key) for key in attributes), {})[name] = predictor
    return list(groups.values())
