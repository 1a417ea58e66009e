from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datamodules.coco.category import choose_category
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.tracking.errors import UserError

FILE = Path("set.json")
COCO17 = get_skeleton("coco-17")


def _horse(**more: Any) -> dict[str, Any]:
    return {"id": 3, "name": "horse", "keypoints": ["Withers", "L-Ear", "R-Ear"], "skeleton": [[1, 2], [3, 1]], **more}


def test_joints_and_limbs_are_the_files() -> None:
    category = choose_category([_horse()], FILE)
    assert (category.id, category.ids, category.sigmas) == (3, {3}, None)
    skeleton = category.joint_set()
    assert (skeleton.name, skeleton.joints) == ("horse-3", ("withers", "left_ear", "right_ear"))
    assert skeleton.limb_names == (("withers", "left_ear"), ("right_ear", "withers"))
    assert skeleton.flip == (0, 2, 1)


def test_cocos_joints_are_known_in_any_spelling() -> None:
    spelt = [joint.replace("_", " ").title() for joint in COCO17.joints]
    assert choose_category([{"id": 1, "name": "person", "keypoints": spelt}], FILE).joint_set() is COCO17


def test_limbs_of_the_body_stand_in_for_a_missing_skeleton() -> None:
    joints = ["head", "left_hip", "right_hip", "left_knee"]
    skeleton = choose_category([{"id": 1, "name": "person", "keypoints": joints}], FILE).joint_set()
    assert set(skeleton.limb_names) == {("left_knee", "left_hip"), ("left_hip", "right_hip")}


def test_the_person_is_taken_unless_another_is_asked_for() -> None:
    categories = [_horse(), {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}, {"id": 2, "name": "car"}]
    assert choose_category(categories, FILE).name == "person"
    assert choose_category(categories, FILE, "horse").id == 3
    with pytest.raises(UserError, match=r"category=hors: .*set\.json; did .*'horse'"):
        choose_category(categories, FILE, "hors")
    with pytest.raises(UserError, match="category=car: "):
        choose_category(categories, FILE, "car")


def test_several_categories_with_the_same_joints_can_be_one() -> None:
    donkey = _horse(id=7, name="donkey")
    with pytest.raises(UserError, match=r"set\.json: .*\['horse', 'donkey'\]; .*category=<name>, or all"):
        choose_category([_horse(), donkey], FILE)
    everything = choose_category([_horse(), donkey], FILE, "all")
    assert (everything.id, everything.ids, everything.joint_set().name) == (3, {3, 7}, "all-3")
    with pytest.raises(UserError, match=r"category=all: .*horse and donkey in set\.json"):
        choose_category([_horse(), _horse(id=7, name="donkey", keypoints=["withers"])], FILE, "all")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "3"}, "id of category horse=3: .*whole number"),
        ({"keypoints": [1, 2, 3]}, "keypoints of category horse="),
        ({"keypoints": ["withers", "?", "ear"]}, r"keypoint '\?' of category horse"),
        (
            {"keypoints": ["LEar", "left ear", "tail"]},
            r"\['LEar', 'left ear'\] of category horse are the same joint, left_",
        ),
        ({"sigmas": [0.1]}, "1 sigmas of category horse; .*3"),
        ({"sigmas": [0.1, 0.1, 0]}, "sigmas of category horse"),
    ],
)
def test_entries_that_describe_nothing_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        choose_category([_horse(**change)], FILE)


@pytest.mark.parametrize("limbs", ["all", [[0, 1]], [[1, 4]], [[2, 2]], [[1]], [["withers", "tail"]], [[True, 2]]])
def test_limbs_that_join_nothing_are_refused_when_they_are_needed(limbs: Any) -> None:
    category = choose_category([_horse(skeleton=limbs)], FILE)  # a body-12 student does not care
    with pytest.raises(UserError, match=r"set\.json: (limb|skeleton).* of category horse"):
        category.joint_set()


def test_joints_without_any_limb_are_refused() -> None:
    with pytest.raises(UserError, match=r"set\.json: category horse .*skeleton"):
        choose_category([_horse(skeleton=[])], FILE).joint_set()
