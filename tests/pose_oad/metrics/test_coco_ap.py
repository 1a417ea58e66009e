from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.poses.skeleton import Skeleton, get_skeleton, map_keypoints
from pose_oad.tracking.errors import UserError

COCO_17 = get_skeleton("coco-17")
SIDE = 100  # px, of a person's square


def person(left: float, top: float, seed: int = 0) -> Tensor:
    """Draw 17 joints at whole px within a square, shape (17, 3), in COCO's px indices."""
    location = torch.randint(0, SIDE, (17, 2), generator=torch.Generator().manual_seed(seed)).float()
    return torch.cat([location + torch.tensor([left, top]), torch.full((17, 1), 2.0)], -1)


def truth_of(people: dict[int, list[Tensor]]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": image, "width": 640, "height": 480} for image in people],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {
                "id": 10 * image + number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": SIDE**2,
                "bbox": [*joints[:, :2].amin(0).tolist(), SIDE, SIDE], "keypoints": joints.flatten().tolist(),
                "num_keypoints": int((joints[:, 2] > 0).sum()),
            }
            for image, group in people.items() for number, joints in enumerate(group, 1)
        ],
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def found(joints: Tensor, image: int, skeleton: Skeleton = COCO_17, score: float = 1.0) -> list[dict[str, Any]]:
    """Write a person of COCO's px indices as found in continuous px, in another joint set."""
    continuous = joints + torch.tensor([0.5, 0.5, 0.0]) * (joints[:, 2:] > 0)
    return to_results(map_keypoints(continuous, COCO_17, skeleton)[None], torch.tensor([score]), skeleton, image)


@pytest.mark.parametrize("name", ["coco-17", "coco-18", "trt-pose-18", "body-25", "body-12", "human36m-17"])
def test_perfect_result_in_any_joint_set(name: str) -> None:
    people = {1: [person(50, 50), person(300, 200, 1)], 2: [person(100, 100, 2)]}
    skeleton = get_skeleton(name)
    results = [row for image, group in people.items() for joints in group for row in found(joints, image, skeleton)]
    scores = average_precision(truth_of(people), results, skeleton)
    for key in ("AP", "AP50", "AP75", "AR", "AP_large", "AR_large"):
        assert scores[key] == pytest.approx(1)
    assert math.isnan(scores["AP_medium"])  # 100 x 100 px is large


def test_results_are_in_the_joint_sets_order_and_cocos_px() -> None:
    skeleton = get_skeleton("coco-18")
    people = torch.zeros(1, 18, 3)
    people[0, skeleton.index("left_eye")] = torch.tensor([10.5, 20.5, 0.9])
    (row,) = to_results(people, torch.tensor([0.25]), skeleton, 7)
    assert row["image_id"] == 7
    assert row["category_id"] == 1
    assert row["score"] == 0.25
    at = 3 * skeleton.index("left_eye")
    assert row["keypoints"] == pytest.approx([*[0] * at, 10, 20, 0.9, *[0] * (51 - at)])


def test_missing_people_are_left_out() -> None:
    assert to_results(torch.zeros(2, 12, 3), torch.zeros(2), get_skeleton("body-12"), 1) == []


def test_people_without_a_joint_that_is_evaluated_do_not_count() -> None:
    skeleton = get_skeleton("coco-18")
    neck = torch.zeros(1, 18, 3)
    neck[0, skeleton.index("neck")] = 1  # not one of COCO's joints
    joints = person(50, 50)
    results = to_results(neck, torch.full((1,), 2.0), skeleton, 1) + found(joints, 1, skeleton)
    # Counted, the surer neck would be a false alarm and halve the precision.
    assert average_precision(truth_of({1: [joints]}), results, skeleton)["AP"] == pytest.approx(1)


def truth_with(joints: list[str], keypoints: Tensor, **category: Any) -> COCO:
    """One person of 100 x 100 px in joints of one's own."""
    truth = truth_of({1: [torch.full((17, 3), 2.0)]})
    truth.dataset["categories"] = [{"id": 1, "name": "horse", "keypoints": joints, **category}]
    truth.dataset["annotations"][0] |= {"keypoints": keypoints.flatten().tolist(), "num_keypoints": len(joints)}
    return truth


@pytest.mark.parametrize(("sigmas", "tail"), [(None, 0.089), ([0.1, 0.05], 0.05)])
def test_joints_of_ones_own_by_hand(sigmas: list[float] | None, tail: float) -> None:
    # Joints are the ground truth's own. The withers are where they should be (OKS 1), the tail is off by
    # 2 sigma s sqrt(-2 ln 0.44): 0.44. Together 0.72, which passes the five thresholds from .50 to .70.
    truth = truth_with(
        ["withers", "tail"], torch.tensor([[10.0, 20, 2], [50, 60, 2]]), **({"sigmas": sigmas} if sigmas else {})
    )
    skeleton = Skeleton("horse", ("tail", "withers", "mane"))
    shift = 2 * tail * SIDE * math.sqrt(-2 * math.log(0.44))
    people = torch.tensor([[[50.5 + shift, 60.5, 0.9], [10.5, 20.5, 0.9], [0.0, 0.0, 0.0]]])
    scores = average_precision(truth, to_results(people, torch.ones(1), skeleton, 1), skeleton)
    assert scores["AP"] == pytest.approx(0.5)


def test_joint_sets_that_name_nothing_in_common_are_refused() -> None:
    truth = truth_with(["withers", "tail"], torch.ones(2, 3))
    with pytest.raises(UserError, match="horse-2 and body-12"):
        average_precision(truth, [], get_skeleton("body-12"))


@pytest.mark.parametrize("name", ["coco-17", "body-12"])
def test_oks_worked_out_by_hand(name: str) -> None:
    # Every joint is displaced by 2 sigma s sqrt(-2 ln 0.72), sigma its own: an OKS of exactly 0.72 whatever the joint
    # set, which passes the five thresholds from .50 to .70.
    joints = person(100, 100)
    moved = joints.clone()
    moved[:, 0] += 2 * torch.tensor(COCO_17.sigmas) * SIDE * math.sqrt(-2 * math.log(0.72))
    skeleton = get_skeleton(name)
    scores = average_precision(truth_of({1: [joints]}), found(moved, 1, skeleton), skeleton)
    assert scores["AP"] == pytest.approx(0.5)
    assert scores["AP50"] == pytest.approx(1)
    assert scores["AP75"] == pytest.approx(0)


def test_joints_outside_the_joint_set_do_not_count() -> None:
    skeleton = get_skeleton("body-12")
    whole, face = person(100, 100), person(300, 300, 1)
    face[5:] = 0  # labelled joints of the face only: nobody for body-12
    far = whole.clone()
    far[:5, :2] += 500
    truth = truth_of({1: [whole, face]})
    assert average_precision(truth, found(far, 1, skeleton), skeleton)["AP"] == pytest.approx(1)
    assert average_precision(truth, found(far, 1), COCO_17)["AP"] < 0.6
    assert truth.anns[11]["num_keypoints"] == 17  # the ground truth is left as it was
    assert len(truth.anns[11]["keypoints"]) == 51


def test_equals_pycocotools_on_coco_17() -> None:
    people = {image: [person(20 * image, 30, image), person(300, 200, image + 50)] for image in range(1, 9)}
    truth = truth_of(people)
    results = []
    for image, group in people.items():
        for number, joints in enumerate(group):
            noise = torch.randn(17, 2, generator=torch.Generator().manual_seed(image)) * 4 * number * image
            moved = torch.cat([joints[:, :2] + noise, joints[:, 2:]], -1)
            results += found(moved, image, score=1 / (image + number))
    scores = average_precision(truth, results, COCO_17)
    with contextlib.redirect_stdout(io.StringIO()):
        plain = COCOeval(truth, truth.loadRes(results), "keypoints")
        plain.evaluate()
        plain.accumulate()
        plain.summarize()
    assert 0.1 < scores["AP"] < 0.9
    assert scores["AP"] == plain.stats[0]
    assert scores["AR"] == plain.stats[5]


def test_no_results_score_zero_and_nobody_to_find_scores_nan(capsys: pytest.CaptureFixture[str]) -> None:
    truth = truth_of({1: [person(50, 50)], 2: []})
    assert average_precision(truth, [], COCO_17)["AP"] == 0
    assert average_precision(truth, [], COCO_17)["AR"] == 0
    assert math.isnan(average_precision(truth, found(person(50, 50), 2), COCO_17, image_ids=[2])["AP"])
    assert capsys.readouterr().out == ""


def test_only_the_images_asked_for() -> None:
    truth = truth_of({1: [person(50, 50)], 2: [person(50, 50)]})
    results = found(person(50, 50), 1)
    assert average_precision(truth, results, COCO_17)["AR"] == pytest.approx(0.5)
    assert average_precision(truth, results, COCO_17, image_ids=[1])["AR"] == pytest.approx(1)
    assert average_precision(truth, results, COCO_17, image_ids=[2])["AR"] == 0
