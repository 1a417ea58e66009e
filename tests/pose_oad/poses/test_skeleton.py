from __future__ import annotations

import json

import pytest
import torch

from pose_oad.poses.skeleton import SKELETONS, Skeleton, get_skeleton, joint_map, map_keypoints
from pose_oad.tracking.errors import UserError

# left/right index of each body joint in each set, from the data sets' own documentation
TABLE = {
    "shoulder": {"human36m-32": (17, 25), "human36m-17": (11, 14), "coco-17": (5, 6), "body-25": (5, 2)},
    "elbow": {"human36m-32": (18, 26), "human36m-17": (12, 15), "coco-17": (7, 8), "body-25": (6, 3)},
    "wrist": {"human36m-32": (19, 27), "human36m-17": (13, 16), "coco-17": (9, 10), "body-25": (7, 4)},
    "hip": {"human36m-32": (6, 1), "human36m-17": (4, 1), "coco-17": (11, 12), "body-25": (12, 9)},
    "knee": {"human36m-32": (7, 2), "human36m-17": (5, 2), "coco-17": (13, 14), "body-25": (13, 10)},
    "ankle": {"human36m-32": (8, 3), "human36m-17": (6, 3), "coco-17": (15, 16), "body-25": (14, 11)},
}  # fmt: skip


@pytest.mark.parametrize("part", TABLE)
def test_joint_indices_are_the_data_sets_own(part: str) -> None:
    for name, (left, right) in TABLE[part].items():
        assert SKELETONS[name].index(f"left_{part}") == left
        assert SKELETONS[name].index(f"right_{part}") == right


def test_body_12_has_left_before_right_and_twelve_limbs() -> None:
    body = get_skeleton("body-12")
    parts = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    assert [body.index(f"left_{part}") for part in parts] == [0, 2, 4, 6, 8, 10]  # and right follows left
    assert len(body.limbs) == 12
    assert ("left_hip", "right_hip") in body.limb_names
    assert ("left_hip", "left_hip") not in body.limb_names


def test_openpose_limbs_are_in_the_published_order() -> None:
    published = [(1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
                 (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17)]  # fmt: skip
    assert list(get_skeleton("coco-18").limbs) == published


def test_body_25_limbs_are_in_the_published_order() -> None:
    published = [(1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13),
                 (13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (2, 17), (5, 18), (14, 19), (19, 20), (14, 21),
                 (11, 22), (22, 23), (11, 24)]  # fmt: skip
    assert list(get_skeleton("body-25").limbs) == published


def test_trt_pose_limbs_are_in_the_published_order() -> None:
    # human_pose.json counts joints from 1
    published = [(16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2),
                 (1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (18, 1), (18, 6), (18, 7), (18, 12), (18, 13)]  # fmt: skip
    assert [(a + 1, b + 1) for a, b in get_skeleton("trt-pose-18").limbs] == published


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_flip_swaps_sides_and_undoes_itself(skeleton) -> None:
    flip = torch.tensor(skeleton.flip)
    assert torch.equal(flip[flip], torch.arange(len(skeleton)))
    left = skeleton.index("left_knee")
    assert skeleton.joints[skeleton.flip[left]] == "right_knee"


def test_mapping_goes_by_name_and_computes_mid_points() -> None:
    coco, openpose = get_skeleton("coco-17"), get_skeleton("coco-18")
    keypoints = torch.zeros(17, 3)
    keypoints[coco.index("left_shoulder")] = torch.tensor([10.0, 20.0, 0.9])
    keypoints[coco.index("right_shoulder")] = torch.tensor([30.0, 40.0, 0.5])
    keypoints[coco.index("left_ankle")] = torch.tensor([1.0, 2.0, 0.7])
    mapped = map_keypoints(keypoints, coco, openpose)
    assert mapped[1].tolist() == pytest.approx([20, 30, 0.5])  # the neck is as sure as its less sure side
    assert mapped[13].tolist() == pytest.approx([1, 2, 0.7])
    assert (mapped[:, 2] > 0).sum() == 4


def test_a_mid_point_is_missing_when_one_side_is() -> None:
    coco, openpose = get_skeleton("coco-17"), get_skeleton("coco-18")
    keypoints = torch.zeros(17, 3)
    keypoints[coco.index("left_shoulder")] = torch.tensor([10.0, 20.0, 0.9])
    assert map_keypoints(keypoints, coco, openpose)[1].tolist() == [0, 0, 0]


def test_mapping_there_and_back_keeps_common_joints() -> None:
    h36m, body = get_skeleton("human36m-32"), get_skeleton("body-12")
    keypoints = torch.rand(5, 2, 12, 3) + 0.1
    back = map_keypoints(map_keypoints(keypoints, body, h36m), h36m, body)
    assert torch.allclose(back, keypoints)


def test_sets_without_a_common_joint_are_refused() -> None:
    with pytest.raises(UserError, match="hand-1 and body-12"):
        joint_map(Skeleton("hand-1", ("thumb",)), get_skeleton("body-12"))


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'coco-17'"):
        get_skeleton("coco17")
    with pytest.raises(UserError, match="did you mean 'left_knee'"):
        get_skeleton("coco-17").index("leftknee")


def test_names_tell_whether_a_mirror_image_can_be_labelled() -> None:
    assert all(skeleton.sided for skeleton in SKELETONS.values())
    for joints in (("thumb", "index"), ("nose", "left_ear"), ("left_ear", "right_eye")):
        skeleton = Skeleton("odd", joints)
        assert not skeleton.sided
        assert skeleton.flip == (0, 1)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_a_description_is_read_back(skeleton) -> None:
    values = json.loads(json.dumps(skeleton.describe()))
    assert get_skeleton(values) == skeleton


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joints": ["a", "a"]}, r"skeleton\.joints=\['a', 'a'\]"),
        ({"joints": []}, r"skeleton\.joints=\[\]"),
        ({"joints": "ab"}, r"skeleton\.joints=ab"),
        ({"limbs": [["a", "c"]]}, r"skeleton\.limbs=\['a', 'c'\]"),
        ({"limbs": [["a", "a"]]}, r"skeleton\.limbs=\['a', 'a'\]"),
        ({"limbs": [[0, 1]]}, r"skeleton\.limbs=.*0, 1"),
        ({"limbs": [["a", ["b"]]]}, r"skeleton\.limbs="),
        ({"name": ""}, r"skeleton\.name=: .*at least 1"),
        ({"colour": "red"}, r"skeleton\.colour=red: .*joints, limbs, name"),
    ],
)
def test_a_description_of_no_joint_set_is_refused(change: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        get_skeleton({"name": "own", "joints": ["a", "b"], "limbs": [["a", "b"]], **change})


def test_the_data_has_a_joint_set_only_where_it_is_read() -> None:
    with pytest.raises(UserError, match="skeleton=data: "):
        get_skeleton("data")
