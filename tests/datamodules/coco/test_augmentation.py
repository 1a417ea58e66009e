from __future__ import annotations

import cv2
import numpy as np
import pytest

from datamodules.coco.augmentation import Augmentation, AugmentationConfig, mirrored, unlabel_outside
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.tracking.errors import UserError

BODY = get_skeleton("body-12")


def _dots(size: tuple[int, int] = (192, 160)) -> tuple[np.ndarray, np.ndarray]:
    """A black image with a bright blob at each of four joints, and where they are, shape (1, 12, 3)."""
    keypoints = np.zeros((1, 12, 3), np.float32)
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for joint, (x, y) in zip((0, 1, 6, 7), ((70, 60), (120, 65), (75, 110), (115, 105)), strict=True):
        keypoints[0, joint] = x + 0.5, y + 0.5, 1
        cv2.circle(image, (x, y), 4, (255, 255, 255), -1)
    return image, keypoints


def _blobs(image: np.ndarray) -> np.ndarray:
    """Centres of the bright blobs of an image, continuous px, shape (blobs, 2)."""
    _, _, _, centres = cv2.connectedComponentsWithStats((image[..., 0] > 100).astype(np.uint8))
    return centres[1:] + 0.5


@pytest.mark.parametrize("seed", range(8))
def test_keypoints_stay_on_what_they_mark(seed: int) -> None:
    image, keypoints = _dots()
    config = AugmentationConfig(scale=(0.6, 1.3), shift=0.05, colour="none")
    view, moved, _ = Augmentation(config, BODY, (150, 150), seed)(image, keypoints)
    labelled = moved[0][moved[0, :, 2] > 0, :2]
    blobs = _blobs(view)
    assert view.shape == (150, 150, 3)
    assert len(labelled) >= 2
    distance = np.linalg.norm(labelled[:, None] - blobs[None], axis=-1).min(1)
    # A blob cut by the border has its centre moved; the others are found where their joint says.
    inner = ((labelled > 8) & (labelled < 142)).all(1)
    assert inner.any()
    assert distance[inner].max() < 0.5


@pytest.mark.parametrize(("scale_of", "grows"), [("image", 0.5), ("section", 2.0)])
def test_a_scale_is_of_the_image_or_of_the_section_that_is_seen(scale_of: str, grows: float) -> None:
    image, keypoints = _dots()
    config = AugmentationConfig(rotation=0, scale=(0.5, 0.5), scale_of=scale_of, shift=0, flip=0, colour="none")
    view, moved, _ = Augmentation(config, BODY, (192, 160), 0)(image, keypoints)
    seen = moved[0, :, 2] > 0
    centre = np.array([96.0, 80.0])
    np.testing.assert_allclose(moved[0, seen, :2] - centre, (keypoints[0, seen, :2] - centre) * grows, atol=0.1)
    assert seen.sum() == 4
    distance = np.linalg.norm(moved[0, seen, None, :2] - _blobs(view)[None], axis=-1).min(1)
    assert distance.max() < 0.5


def test_section_sizes_are_drawn_evenly() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    config = AugmentationConfig(rotation=0, scale_of="section", shift=0, flip=0, colour="none")
    augment = Augmentation(config, BODY, (80, 80), 0)
    ends = np.zeros((1, 12, 3), np.float32)
    ends[0, :2] = [[38, 40, 1], [42, 40, 1]]
    sizes = np.array([4 / np.ptp(augment(image, ends)[1][0, :2, 0]) for _ in range(300)])
    assert 0.5 <= sizes.min() < 0.55
    assert 1.95 < sizes.max() <= 2.0
    assert sizes.mean() == pytest.approx(1.25, abs=0.08)


def test_light_colours_are_the_papers() -> None:
    grey = np.full((40, 40, 3), 128, np.uint8)
    still = {"rotation": 0, "scale": (1, 1), "shift": 0, "flip": 0}
    augment = Augmentation(AugmentationConfig(**still, colour="light"), BODY, (40, 40), 0)
    drawn = np.array([augment(grey, np.zeros((0, 12, 3), np.float32))[0].mean() for _ in range(60)])
    assert abs(drawn / 128 - 1).max() <= 0.06
    assert drawn.std() > 1


def test_a_mirror_image_exchanges_left_and_right_by_name() -> None:
    image, keypoints = _dots()
    flipped, swapped, _ = mirrored(image, keypoints, None, BODY)
    was = {name: keypoints[0, at] for at, name in enumerate(BODY.joints)}
    now = {name: swapped[0, at] for at, name in enumerate(BODY.joints)}
    assert now["left_shoulder"].tolist() == [192 - 120.5, 65.5, 1]  # where the right one was, mirrored
    assert now["right_shoulder"].tolist() == [192 - 70.5, 60.5, 1]
    assert now["left_hip"][1] == was["right_hip"][1]
    assert not now["left_wrist"].any()
    assert flipped[65, 191 - 120].all()


def test_two_mirror_images_are_none() -> None:
    image, keypoints = _dots()
    ignored = (image[..., 0] > 0).astype(np.uint8)
    once = mirrored(image, keypoints, ignored, BODY)
    twice = mirrored(once[0], once[1], once[2], BODY)
    for before, after in zip((image, keypoints, ignored), twice, strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_ignored_area_moves_with_the_image() -> None:
    image, keypoints = _dots()
    ignored = (image[..., 0] > 0).astype(np.uint8)
    view, _, moved = Augmentation(AugmentationConfig(colour="none", flip=1.0), BODY, (150, 150), 3)(
        image, keypoints, ignored
    )
    assert moved is not None
    overlap = ((view[..., 0] > 127) & (moved > 0)).sum() / ((view[..., 0] > 127) | (moved > 0)).sum()
    assert overlap > 0.8


def test_joints_that_leave_the_image_become_unlabelled() -> None:
    keypoints = np.array([[[0, 0, 1], [-0.1, 5, 1], [9.9, 4.9, 1], [10, 4, 1], [3, 3, 0]]], np.float32)
    inside = unlabel_outside(keypoints, (10, 5))
    assert inside[0, :, 2].tolist() == [1, 0, 1, 0, 0]
    assert not inside[0, 1].any()
    assert not inside[0, 4].any()


def test_an_image_without_people_is_legal() -> None:
    view, keypoints, _ = Augmentation(AugmentationConfig(colour="strong"), BODY, (100, 100), 0)(
        np.zeros((120, 130, 3), np.uint8), np.zeros((0, 12, 3), np.float32)
    )
    assert view.shape == (100, 100, 3)
    assert keypoints.shape == (0, 12, 3)


@pytest.mark.parametrize("colour", ["light", "strong"])
def test_same_seed_same_views(colour: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (120, 130, 3), dtype=np.uint8)
    keypoints = _dots()[1]
    first = Augmentation(AugmentationConfig(colour=colour), BODY, (100, 100), 5)
    second = Augmentation(AugmentationConfig(colour=colour), BODY, (100, 100), 6)
    drawn = [first(image, keypoints) for _ in range(6)]
    other = [second(image, keypoints) for _ in range(6)]
    second.reseed(5)
    again = [second(image, keypoints) for _ in range(6)]
    for (view, moved, _), (view_again, moved_again, _) in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(view, view_again)
        np.testing.assert_array_equal(moved, moved_again)
    assert any((view != view_other).any() for (view, _, _), (view_other, _, _) in zip(drawn, other, strict=True))


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(UserError, match=r"augmentation\.scale=\[2\.0, 0\.5\]"):
        AugmentationConfig(scale=(2.0, 0.5))
