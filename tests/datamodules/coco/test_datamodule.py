"""The loaders on the small COCO tree."""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.coco import CocoDataModule
from datamodules.coco.augmentation import AugmentationConfig
from datamodules.coco.index import CocoIndex
from datamodules.coco.tree import CocoTree
from pose_oad.metrics.coco_ap import average_precision, to_results
from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.tracking.errors import UserError
from tests.coco import (
    BODY,
    STILL,
    only_batch,
    open_set,
    person,
    small_set,
    write_tree,
)


def test_validation_maps_back_to_the_original_px(tree: Path) -> None:
    batch = only_batch(open_set(tree).val_dataloader())
    assert batch.images.shape == (2, 64, 64, 3)
    assert batch.images.dtype == torch.uint8
    assert batch.image_ids.tolist() == [7, 9]
    resize = FrameResize.of((160, 100), (64, 64), "letterbox")
    assert batch.frame_sizes.tolist() == [[160, 100], [160, 100]]
    back = resize.to_frame(batch.keypoints[0, 0])
    # COCO writes the index of a pixel; its centre lies half a pixel further.
    torch.testing.assert_close(back[BODY.index("left_shoulder")], torch.tensor([40.5, 30.5, 1.0]))
    torch.testing.assert_close(back[BODY.index("right_hip")], torch.tensor([60.5, 70.5, 1.0]))
    assert not batch.keypoints[0, 0, BODY.index("left_hip")].any()


def test_the_picture_is_where_the_keypoints_say(tree: Path) -> None:
    for batch in (only_batch(open_set(tree).val_dataloader()), only_batch(open_set(tree).train_dataloader())):
        at = batch.image_ids.tolist().index(7)
        x, y, labelled = batch.keypoints[at, 0, BODY.index("left_shoulder")].tolist()
        assert labelled == 1
        red, green, blue = batch.images[at, int(y), int(x)].tolist()
        assert red > 120
        assert max(green, blue) < 100


def test_training_images_are_cropped_or_squashed(tree: Path) -> None:
    for resize_mode, share in (("cover", None), ("squash", (40.5 / 160, 30.5 / 100))):
        batch = only_batch(open_set(tree, augmentation=replace(STILL, resize_mode=resize_mode)).train_dataloader())
        at = batch.image_ids.tolist().index(7)
        place = batch.keypoints[at, 0, BODY.index("left_shoulder"), :2] / 64
        if share is None:  # the height is kept, and the width cropped to it, anywhere
            assert float(place[1]) == pytest.approx(0.305, abs=0.01)
        else:
            torch.testing.assert_close(place, torch.tensor(share), atol=0.01, rtol=0)


def test_crowds_and_unlabelled_people_are_masked(tree: Path) -> None:
    batch = only_batch(open_set(tree).val_dataloader())
    assert batch.pixel_mask[0].all()
    # The picture covers rows 3 to 12 of 16 (40 px of 64, from px 12); the crowd its upper right quarter.
    learnt = batch.pixel_mask[1]
    assert not learnt[3:8, 8:].any()
    assert learnt[8:, 8:].all()
    assert learnt[:3].all()
    assert not learnt[3:5, 0:2].any()  # the unlabelled person, 20 px of 160 wide
    assert learnt[3:8, 3:8].all()


def test_a_labelled_person_within_a_crowd_is_learnt(tmp_path: Path) -> None:
    data = small_set()
    data["annotations"][1]["segmentation"] = [[100, 0, 140, 0, 140, 40, 100, 40]]
    learnt = only_batch(open_set(write_tree(tmp_path, data)).val_dataloader()).pixel_mask[1]
    assert learnt[4:6, 11:13].all()
    assert not learnt[4:6, 8].any()


def test_training_yields_only_images_with_labelled_people(tmp_path: Path) -> None:
    data = small_set()
    del data["annotations"][1]
    split = open_set(write_tree(tmp_path, data))
    assert [image.id for image in split.training.images] == [7]
    assert [image.id for image in split.validation.images] == [7, 9]


def test_joints_a_set_cannot_supply_are_masked(tree: Path) -> None:
    skeleton = get_skeleton("coco-18")  # has a neck, the mid-point of both shoulders
    assert only_batch(open_set(tree, skeleton).val_dataloader()).joint_mask.all()
    with_toe = Skeleton("with toe", (*BODY.joints, "left_big_toe", "right_big_toe"), BODY.limbs)
    mask = only_batch(open_set(tree, with_toe).val_dataloader()).joint_mask
    assert mask.tolist() == [[True] * 12 + [False] * 2] * 2


def test_other_joint_sets_are_matched_by_name(tmp_path: Path) -> None:
    data = small_set()
    data["categories"][0]["keypoints"] = ["head", "right_hip", "left_shoulder"]
    for annotation in data["annotations"]:
        annotation["keypoints"] = [1, 2, 2, 60, 70, 1, 40, 30, 2] if annotation["id"] == 1 else [0] * 9
        annotation["num_keypoints"] = 3 if annotation["id"] == 1 else 0
    split = open_set(write_tree(tmp_path, data))
    keypoints = split.validation.images[0].keypoints
    assert keypoints[0, BODY.index("left_shoulder")].tolist() == [40.5, 30.5, 1]
    assert keypoints[0, BODY.index("right_hip")].tolist() == [60.5, 70.5, 1]
    assert keypoints[0, :, 2].sum() == 2
    people = torch.from_numpy(keypoints)
    results = to_results(people, torch.ones(1), BODY, 7)
    assert average_precision(split.ground_truth, results, BODY)["AP"] == pytest.approx(1.0)


def test_true_keypoints_score_full_precision(tree: Path) -> None:
    split = open_set(tree)
    results = [
        result
        for image in split.validation.images
        for result in to_results(torch.from_numpy(image.keypoints), torch.ones(len(image.keypoints)), BODY, image.id)
    ]
    assert average_precision(split.ground_truth, results, BODY)["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("workers", [0, 1])
def test_same_seed_same_epochs(tree: Path, workers: int) -> None:
    def epochs(seed: int) -> list[torch.Tensor]:
        loader = open_set(
            tree, workers=workers, seed=seed, augmentation=AugmentationConfig(colour="strong")
        ).train_dataloader()
        return [batch.images for _ in range(3) for batch in loader]

    first, again, other = epochs(1), epochs(1), epochs(2)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])


def test_what_is_kept_in_memory_is_bounded_and_changes_nothing(tree: Path) -> None:
    kept, fresh = open_set(tree, cache_mib=16), open_set(tree, cache_mib=0)
    assert len(kept.training._kept) == 2
    assert len(fresh.training._kept) == 0
    assert torch.equal(only_batch(kept.val_dataloader()).images, only_batch(fresh.val_dataloader()).images)
    assert torch.equal(only_batch(kept.train_dataloader()).images, only_batch(fresh.train_dataloader()).images)


def test_people_are_padded(tmp_path: Path) -> None:
    data = small_set()
    data["annotations"].append(person(7, 5, {"nose": (1, 1), "left_ankle": (90, 90)}))
    batch = only_batch(open_set(write_tree(tmp_path, data)).val_dataloader())
    assert batch.keypoints.shape == (2, 2, 12, 3)
    assert not batch.keypoints[1, 1].any()


def test_real_photographs(real_data: Path) -> None:
    index = CocoIndex(real_data / "coco" / "person_keypoints.json", real_data / "coco" / "images", BODY)
    assert len(index.images) == 37
    assert sum(len(image.keypoints) for image in index.images) == 95
    crowded = [image for image in index.images if index.ignored(image) is not None]
    assert crowded
    for image in crowded:
        area = index.ignored(image)
        assert area is not None
        assert area.shape == image.size[::-1]


def test_images_that_are_missing_can_be_skipped(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tree / "val2017" / "9.jpg").unlink()
    with pytest.raises(UserError, match=r"9\.jpg: .*\(1 of its 2 images are missing\); missing_images=skip"):
        open_set(tree)
    with caplog.at_level(logging.WARNING):
        split = open_set(tree, missing_images="skip")
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        f"1 of its 2 images are not in {tree / 'val2017'}; left out, the first is 9.jpg"
    ]
    assert [image.id for image in split.validation.images] == [7]
    assert split.ground_truth.getImgIds() == [7]
    assert {person["image_id"] for person in split.ground_truth.anns.values()} == {7}
    assert len(split.training.images) == 2
    people = torch.from_numpy(split.validation.images[0].keypoints)
    results = to_results(people, torch.ones(1), BODY, 7)
    assert average_precision(split.ground_truth, results, BODY)["AP"] == pytest.approx(1.0)


def test_a_set_without_any_of_its_images_is_refused(tree: Path) -> None:
    for number in (7, 9):
        (tree / "val2017" / f"{number}.jpg").unlink()
    with pytest.raises(UserError, match="val2017: "):
        open_set(tree, missing_images="skip")


def test_images_lie_in_folders_of_their_own(tree: Path) -> None:
    for split in ("train2017", "val2017"):
        (tree / split / "deep").mkdir()
        (tree / split / "9.jpg").rename(tree / split / "deep" / "9.jpg")
    data = small_set()
    data["images"][1]["file_name"] = "deep/9.jpg"
    (tree / "pose.json").write_text(json.dumps(data))
    split = open_set(tree, train="pose.json", val="pose.json", image_folder="train2017")
    assert [image.path for image in split.validation.images] == [
        tree / "train2017" / "7.jpg",
        tree / "train2017/deep/9.jpg",
    ]


def _horses(tmp_path: Path, joints: list[str]) -> CocoDataModule:
    """Two kinds of animals with the same joints, one of each in the first image, and a student of their joints."""
    data = small_set()
    data["categories"] = [
        {"id": number, "name": name, "keypoints": joints, "skeleton": [[1, 2]]}
        for number, name in ((4, "horse"), (5, "cow"))
    ]
    data["annotations"] = [
        {**person(7, number, {}), "category_id": number, "keypoints": [10 * number, 20, 2, 60, 70, 1]}
        for number in (4, 5)
    ]
    root = write_tree(tmp_path / "animals", data)
    skeleton = CocoTree(root).category("train2017", "all").joint_set()
    return open_set(root, skeleton, category="all", augmentation=AugmentationConfig(flip=1.0, colour="none"))


def test_a_set_is_evaluated_on_its_own_joints(tmp_path: Path) -> None:
    split = _horses(tmp_path, ["Withers", "Tail"])
    assert split.skeleton.joints == ("withers", "tail")
    assert split.skeleton.limb_names == (("withers", "tail"),)
    [both, _] = split.validation.images
    assert both.keypoints[:, 0, 0].tolist() == [40.5, 50.5]
    assert split.category_id == 4
    results = to_results(torch.from_numpy(both.keypoints), torch.ones(2), split.skeleton, 7, split.category_id)
    assert len(results[0]["keypoints"]) == 6
    assert average_precision(split.ground_truth, results, split.skeleton)["AP"] == pytest.approx(1.0)
    # Withers 5 px off and tails right: s^2 = 2000 px^2, sigma .089, so exp(-25 / (8 * 2000 * .089^2)) = .82, OKS .91.
    for result in results:
        result["keypoints"][1] += 5
    scores = average_precision(split.ground_truth, results, split.skeleton)
    assert scores["AP"] == pytest.approx(0.9)  # all thresholds but .95


@pytest.mark.parametrize(("joints", "flip"), [(["Withers", "Tail"], 0.0), (["LEar", "REar"], 1.0)])
def test_no_mirror_images_where_names_give_no_sides(
    tmp_path: Path, joints: list[str], flip: float, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        split = _horses(tmp_path, joints)
    assert split.training.augmentation.config.flip == flip
    said = [message for message in caplog.messages if message.startswith("augmentation.flip=1.0: not used")]
    assert len(said) == (flip == 0)


def test_joints_that_nothing_teaches_are_named(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    skeleton = Skeleton("with toe", (*BODY.joints, "left_big_toe", "right_big_toe"), BODY.limbs)
    with caplog.at_level(logging.WARNING):
        open_set(tree, skeleton)
    [said] = caplog.messages
    assert said.endswith("train2017.json: has no left_big_toe, right_big_toe; the student is not trained on them")


def test_validation_images_are_squashed_for_a_network_that_wants_them_so(tree: Path) -> None:
    batch = only_batch(open_set(tree, resize_mode="squash").val_dataloader())
    x, y, _ = batch.keypoints[0, 0, BODY.index("left_shoulder")].tolist()
    assert (x, y) == pytest.approx((40.5 * 64 / 160, 30.5 * 64 / 100))
    red, green, blue = batch.images[0, int(y), int(x)].tolist()
    assert red > 100 > max(green, blue)
    assert batch.images[0, 0].amin() > 0  # no bar above


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_draws_what_would_have_come(tree: Path, workers: int) -> None:
    def opened() -> CocoDataModule:
        return open_set(tree, batch_size=1, workers=workers, augmentation=AugmentationConfig(colour="strong"))

    def epoch(data: CocoDataModule, loader: Any) -> list[torch.Tensor]:
        return [data.on_before_batch_transfer(batch, 0).images for batch in loader]

    straight = opened()
    loader = straight.train_dataloader()
    epoch(straight, loader), epoch(straight, loader)
    state = copy.deepcopy(straight.state_dict())
    expected = [epoch(straight, loader), epoch(straight, loader)]
    resumed = opened()
    resumed.load_state_dict(state)
    loader = resumed.train_dataloader()
    found = [epoch(resumed, loader), epoch(resumed, loader)]
    assert all(torch.equal(*images) for pair in zip(expected, found, strict=True) for images in zip(*pair, strict=True))
    assert not torch.equal(expected[0][0], expected[1][0])
    if workers:
        with pytest.raises(UserError, match=r"data\.workers=0: expected 2"):
            open_set(tree, workers=0).load_state_dict(state)
