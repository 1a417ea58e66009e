"""Figures of maps whose people are known: one person in the first image, two in the second.

The images are 128x96 px, letterboxed into 64x64: half the size, 8 px of bars above and below.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from torch import Tensor

from pose_oad.offline.source_domain import SourceDomainEvaluation
from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import get_skeleton, map_keypoints
from pose_oad.students.keypoints import Poses
from tests.networks import MapNetwork

BODY, COCO17 = get_skeleton("body-12"), get_skeleton("coco-17")
# A person standing upright, 0 to 1 across and down, by joint.
UPRIGHT = {
    "shoulder": (0.0, 1.0, 0.0), "elbow": (0.0, 1.0, 0.25), "wrist": (0.0, 1.0, 0.5),
    "hip": (0.25, 0.75, 0.5), "knee": (0.25, 0.75, 0.75), "ankle": (0.25, 0.75, 1.0),
}  # fmt: skip


def person(left: float, width: float) -> Tensor:
    """Return a person in original px, shape (12, 3)."""
    joints = torch.ones(12, 3)
    for name, (a, b, down) in UPRIGHT.items():
        for side, across in (("left", a), ("right", b)):
            joints[BODY.index(f"{side}_{name}"), :2] = torch.tensor([left + across * width, 10 + down * 76])
    return joints


PEOPLE = [[person(40, 40)], [person(8, 40), person(76, 40)]]


def batch_of(images: list[int], mask: float = 1.0) -> Any:
    """Return a batch of some of the images, as a data module gives it."""
    keypoints = torch.zeros(len(images), 2, 12, 3)
    for row, image in enumerate(images):
        for at, joints in enumerate(PEOPLE[image]):
            keypoints[row, at] = joints * torch.tensor([0.5, 0.5, 1.0]) + torch.tensor([0.0, 8.0, 0.0])
    return SimpleNamespace(
        keypoints=keypoints,
        pixel_mask=torch.full((len(images), 16, 16), bool(mask)),
        image_ids=torch.tensor(images),
        frame_sizes=torch.tensor([[128, 96]] * len(images)),
    )


def maps_of(batch: Any, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[Tensor, Tensor]:
    """Return the maps of a network that sees everybody, ``shift`` px of the input off."""
    shifted = batch.keypoints + torch.tensor([*shift, 0.0]) * (batch.keypoints[..., 2:] > 0)
    return tuple(encode(shifted, BODY, input_size=(64, 64), map_size=(16, 16), sigma=0.06))


NETWORK = MapNetwork(lambda frames: (frames, frames), BODY)


def poses_of(batch: Any, shift: tuple[float, float] = (0.0, 0.0)) -> Poses:
    """Return the people that this network finds."""
    return NETWORK.decode(maps_of(batch, shift), "many")


@pytest.fixture
def truth() -> COCO:
    annotations = []
    for image, people in enumerate(PEOPLE):
        for joints in people:
            keypoints = map_keypoints(joints[None], BODY, COCO17)[0]
            keypoints[:, :2] -= 0.5
            keypoints[:, 2] *= 2
            keypoints[keypoints[:, 2] == 0] = 0
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": 1, "iscrowd": 0, "num_keypoints": 12,
                "keypoints": keypoints.flatten().tolist(), "area": 3000.0, "bbox": [0.0, 0.0, 128.0, 96.0],
            })  # fmt: skip
    coco = COCO()
    coco.dataset = {"images": [{"id": 0}, {"id": 1}], "annotations": annotations, "categories": [{"id": 1}]}
    coco.createIndex()
    return coco


def evaluation() -> SourceDomainEvaluation:
    return SourceDomainEvaluation(BODY, (64, 64), 1)


def test_everybody_found_in_place_is_perfect(truth: COCO) -> None:
    perfect, batch = evaluation(), batch_of([0, 1])
    perfect.update(poses_of(batch), batch)
    figures = perfect.compute(truth)
    assert figures["AP50"] == pytest.approx(1.0)
    assert figures["AP"] > 0.8
    assert figures["mpjpe_px"] < 2  # a quarter of a cell, 8 px of the original
    assert figures["sides"] == 1


def test_a_known_displacement_is_the_error_of_the_single_person(truth: COCO) -> None:
    """One cell, 4 px of the input, are 8 px of the original image."""
    off, batch = evaluation(), batch_of([0, 1])
    off.update(poses_of(batch, (4.0, 0.0)), batch)
    here = evaluation()
    here.update(poses_of(batch), batch)
    assert off.compute(truth)["mpjpe_px"] == pytest.approx(8.0, abs=1.0)
    assert off.compute(truth)["AP"] < here.compute(truth)["AP"]


def test_images_of_several_people_or_with_ignored_areas_have_no_single_person(truth: COCO) -> None:
    for batch in (batch_of([1]), batch_of([0], mask=0.0)):
        several = evaluation()
        several.update(poses_of(batch), batch)
        figures = several.compute(truth)
        assert math.isnan(figures["mpjpe_px"])
        assert figures["sides"] == 1
        assert figures["AP50"] == pytest.approx(1.0)


def test_parts_that_are_merged_are_the_whole(truth: COCO) -> None:
    whole, batch = evaluation(), batch_of([0, 1])
    whole.update(poses_of(batch), batch)
    parts = [evaluation(), evaluation()]
    for part, image in zip(parts, (1, 0), strict=True):
        part.update(poses_of(batch_of([image])), batch_of([image]))
    merged = evaluation()
    merged.merge(parts)
    assert len(merged) == 2
    assert merged.compute(truth) == pytest.approx(whole.compute(truth), nan_ok=True)


def test_maps_of_the_first_images_of_a_batch_are_enough(truth: COCO) -> None:
    first, batch = evaluation(), batch_of([0, 1])
    maps, fields = maps_of(batch)
    first.update(NETWORK.decode((maps[:1], fields[:1]), "many"), batch)
    assert len(first) == 1
    assert first.compute(truth)["AP50"] == pytest.approx(1.0)


def test_nobody_found_is_no_precision_and_nobody_there_is_none_at_all(truth: COCO) -> None:
    blind, batch = evaluation(), batch_of([0, 1])
    nothing = torch.zeros(2, 12, 16, 16), torch.zeros(2, len(BODY.limbs), 2, 16, 16)
    blind.update(NETWORK.decode(nothing, "many"), batch)
    assert blind.compute(truth)["AP"] == 0.0
    truth.dataset["annotations"] = []
    assert math.isnan(blind.compute(truth)["AP"])
    assert np.isfinite(blind.compute(truth)["mpjpe_px"])


def test_squashed_images_are_measured_in_their_own_px(truth: COCO) -> None:
    """The images are 128x96 px: squashed into 64x64, half as wide and two thirds as high."""
    batch = batch_of([0, 1])
    for row, people in enumerate(PEOPLE):
        for at, joints in enumerate(people):
            batch.keypoints[row, at] = joints * torch.tensor([1 / 2, 2 / 3, 1.0])
    squashed = SourceDomainEvaluation(BODY, (64, 64), 1, "squash")
    squashed.update(poses_of(batch), batch)
    figures = squashed.compute(truth)
    assert figures["AP50"] == pytest.approx(1.0)
    assert figures["mpjpe_px"] < 2
