"""Average precision of multi-person poses by object keypoint similarity, as pycocotools computes it.

Poses are evaluated on the joints that the ground truth and the student's joint set both name. COCO's ground truth has
17: a joint set that holds them all is evaluated exactly as COCO does, extra joints left out. Of a smaller one
(``body-12``) the ground truth is cut down to the common joints, ``num_keypoints`` is counted again (people without any
of these joints are ignored, as COCO does) and the evaluation takes these joints' constants. Such a figure is not
comparable with published ones over 17 joints, nor is that of a set with joints of its own.

The constants are those of the ground truth's category where it gives ``sigmas``, else COCO's by the joint's name, else
a default (see :attr:`pose_oad.poses.skeleton.Skeleton.sigmas`).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.tracking.errors import UserError

#: COCO writes the index of the pixel that holds a joint; its centre lies half a pixel further in continuous px.
COCO_PIXEL_CENTRE = 0.5

# Where COCOeval.stats holds what, for keypoints.
_STATISTICS = {
    "AP": 0, "AP50": 1, "AP75": 2, "AP_medium": 3, "AP_large": 4,
    "AR": 5, "AR50": 6, "AR75": 7, "AR_medium": 8, "AR_large": 9,
}  # fmt: skip


def to_results(
    people: Tensor, scores: Tensor, skeleton: Skeleton, image_id: int, category_id: int = 1
) -> list[dict[str, Any]]:
    """Write the people found in one image as COCO results, with all joints of ``skeleton`` in its order.

    Args:
        people: shape (people, joints, 3): x and y in px of the original image, confidence (0 = not found); people
            without any joint are left out
        scores: rank of each person, shape (people,)
        skeleton: joint set of ``people``
        image_id: the image's id in the ground truth
        category_id: the category's id in the ground truth
    """
    people = people.detach().cpu()
    found = people[..., 2:] > 0
    indices = torch.cat([(people[..., :2] - COCO_PIXEL_CENTRE) * found, people[..., 2:] * found], -1)
    return [
        {"image_id": image_id, "category_id": category_id, "keypoints": person, "score": score}
        for person, score, any_found in zip(
            indices.flatten(1).tolist(), scores.tolist(), found.flatten(1).any(1).tolist(), strict=True
        )
        if any_found
    ]


def average_precision(
    ground_truth: COCO,
    results: list[dict[str, Any]],
    skeleton: Skeleton,
    image_ids: Iterable[int] | None = None,
) -> dict[str, float]:
    """Compare results with the ground truth.

    Args:
        ground_truth: people with the joints that its category names (COCO's 17 where it names none), in the project's
            spelling; left as it is
        results: what :func:`to_results` wrote with the same ``skeleton``; may be empty
        skeleton: joint set the results come from
        image_ids: images to evaluate, all by default

    Returns:
        ``AP`` and ``AR`` (mean over OKS .50:.05:.95), ``AP50``, ``AP75``, and ``AP_medium``, ``AP_large``,
        ``AR_medium``, ``AR_large`` by object area, fractions; NaN where the ground truth has nobody to be found.

    Raises:
        UserError: if no joint is common to both.
    """
    source, sigmas = _joints_of(ground_truth)
    target = evaluated_joints(source, skeleton)
    ids = sorted(set(ground_truth.getImgIds() if image_ids is None else image_ids))
    kept = set(ids)
    with quietly():
        truth = _cut_down(ground_truth, source, target)
        chosen = _cut_results([result for result in results if result["image_id"] in kept], skeleton, target)
        found = truth.loadRes(chosen) if chosen else make_coco({**truth.dataset, "annotations": []})
        evaluation = COCOeval(truth, found, "keypoints")
        evaluation.params.imgIds = ids
        evaluation.params.kpt_oks_sigmas = np.array([sigmas[source.index(joint)] for joint in target.joints])
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # COCOeval marks what it could not compute with -1.
    return {
        name: float(evaluation.stats[at]) if evaluation.stats[at] >= 0 else float("nan")
        for name, at in _STATISTICS.items()
    }


def evaluated_joints(truth: Skeleton, skeleton: Skeleton) -> Skeleton:
    """Return the joints on which poses are evaluated: those of the truth, in its order, that a joint set names."""
    joints = tuple(joint for joint in truth.joints if joint in skeleton.joints)
    if not joints:
        raise UserError(f"joint sets {truth.name} and {skeleton.name} name no joint in common to evaluate")
    return Skeleton(f"{truth.name} within {skeleton.name}", joints)


def _joints_of(ground_truth: COCO) -> tuple[Skeleton, Sequence[float]]:
    """Return a ground truth's joint set and the OKS standard deviation of each joint."""
    category: dict[str, Any] = next(
        (entry for entry in ground_truth.dataset["categories"] if entry.get("keypoints")), {}
    )
    coco = get_skeleton("coco-17")
    joints = tuple(category.get("keypoints", coco.joints))
    source = coco if joints == coco.joints else Skeleton(f"{category['name']}-{len(joints)}", joints)
    return source, category.get("sigmas", source.sigmas)


def _cut_results(results: list[dict[str, Any]], skeleton: Skeleton, target: Skeleton) -> list[dict[str, Any]]:
    """Copy results with the joints of ``target`` only; people with none of them are left out."""
    if not results:
        return []
    people = np.array([result["keypoints"] for result in results]).reshape(len(results), len(skeleton), 3)
    people = people[:, [skeleton.index(joint) for joint in target.joints]]
    return [
        {**result, "keypoints": person.ravel().tolist()}
        for result, person in zip(results, people, strict=True)
        if (person[:, 2] > 0).any()
    ]


def _cut_down(ground_truth: COCO, source: Skeleton, target: Skeleton) -> COCO:
    """Copy the ground truth with the joints of ``target`` only; what else an annotation says is kept."""
    columns = [source.index(joint) for joint in target.joints]
    annotations = []
    for annotation in ground_truth.dataset["annotations"]:
        keypoints = np.asarray(annotation["keypoints"]).reshape(len(source), 3)[columns]
        counted = int((keypoints[:, 2] > 0).sum())
        annotations.append({**annotation, "keypoints": keypoints.flatten().tolist(), "num_keypoints": counted})
    return make_coco({**ground_truth.dataset, "annotations": annotations})


def quietly() -> contextlib.AbstractContextManager[object]:
    """Keep pycocotools quiet: it reports to standard output and knows no other way."""
    return contextlib.redirect_stdout(io.StringIO())


def make_coco(dataset: dict[str, Any]) -> COCO:
    """Give a set in COCO's format, in plain values, to pycocotools."""
    coco = COCO()
    coco.dataset = dataset
    with quietly():
        coco.createIndex()
    return coco
