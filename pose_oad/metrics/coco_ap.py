"""Average precision of multi-person poses by object keypoint similarity, as pycocotools computes it.

COCO evaluates its 17 joints. A joint set that holds them all is evaluated exactly so, extra joints left out. A smaller
one (``body-12``) is evaluated on the joints it has in common with COCO: the ground truth is cut down to them by name,
``num_keypoints`` is counted again (people without any of these joints are ignored, as COCO does) and the evaluation
takes these joints' constants. Such a figure is not comparable with published ones over 17 joints.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from pose_oad.skeleton import Skeleton, get_skeleton, map_keypoints

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
    """Write the people found in one image as COCO results.

    Args:
        people: shape (people, joints, 3): x and y in px of the original image, confidence (0 = not found); people
            without any joint that is evaluated are left out
        scores: rank of each person, shape (people,)
        skeleton: joint set of ``people``
        image_id: the image's id in the ground truth
        category_id: COCO's id of the category "person"

    Returns:
        one entry a person, with the joints that :func:`average_precision` evaluates for ``skeleton``.
    """
    target = _evaluated(skeleton)
    mapped = map_keypoints(people, skeleton, target).detach().cpu()
    found = mapped[..., 2:] > 0
    mapped[..., :2] = (mapped[..., :2] - COCO_PIXEL_CENTRE) * found
    return [
        {"image_id": image_id, "category_id": category_id, "keypoints": person.flatten().tolist(), "score": score}
        for person, score, any_found in zip(mapped, scores.tolist(), found.flatten(1).any(1).tolist(), strict=True)
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
        ground_truth: people with COCO's 17 keypoints; left as it is
        results: what :func:`to_results` wrote with the same ``skeleton``; may be empty
        skeleton: joint set the results come from
        image_ids: images to evaluate, all by default

    Returns:
        ``AP`` and ``AR`` (mean over OKS .50:.05:.95), ``AP50``, ``AP75``, and ``AP_medium``, ``AP_large``,
        ``AR_medium``, ``AR_large`` by object area, fractions; NaN where the ground truth has nobody to be found.
    """
    target = _evaluated(skeleton)
    ids = sorted(set(ground_truth.getImgIds() if image_ids is None else image_ids))
    kept = set(ids)
    # pycocotools reports to standard output and offers no other way to keep it quiet.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _cut_down(ground_truth, target)
        chosen = [result for result in results if result["image_id"] in kept]
        found = truth.loadRes(chosen) if chosen else _coco({**truth.dataset, "annotations": []})
        evaluation = COCOeval(truth, found, "keypoints")
        evaluation.params.imgIds = ids
        evaluation.params.kpt_oks_sigmas = np.array(target.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # COCOeval marks what it could not compute with -1.
    return {
        name: float(evaluation.stats[at]) if evaluation.stats[at] >= 0 else float("nan")
        for name, at in _STATISTICS.items()
    }


def _evaluated(skeleton: Skeleton) -> Skeleton:
    """The joints of COCO-17, in its order, that a joint set holds."""
    joints = tuple(joint for joint in get_skeleton("coco-17").joints if joint in skeleton.joints)
    return Skeleton(f"coco-17 within {skeleton.name}", joints)


def _cut_down(ground_truth: COCO, target: Skeleton) -> COCO:
    """Copy the ground truth with the joints of ``target`` only; what else an annotation says is kept."""
    coco = get_skeleton("coco-17")
    columns = [coco.index(joint) for joint in target.joints]
    annotations = []
    for annotation in ground_truth.dataset["annotations"]:
        keypoints = np.asarray(annotation["keypoints"]).reshape(len(coco), 3)[columns]
        counted = int((keypoints[:, 2] > 0).sum())
        annotations.append({**annotation, "keypoints": keypoints.flatten().tolist(), "num_keypoints": counted})
    return _coco({**ground_truth.dataset, "annotations": annotations})


def _coco(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco
