from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import StudentConfig, build_student
from pose_oad.students.transfer import SharedChannels, with_joint_set

LIGHT = StudentConfig("tiny", "mobilenetv4_conv_small_050", head_channels=16, input_size=(64, 64))
ATTENTION = replace(LIGHT, backbone="resnet18", head="attention")


def test_joints_and_limbs_are_matched_by_name() -> None:
    source = Skeleton("s", ("nose", "neck", "pelvis"), ((0, 1), (1, 2)))
    target = Skeleton("t", ("pelvis", "left_hip", "neck", "nose"), ((0, 2), (2, 1), (3, 2)))
    shared = SharedChannels.of(source, target)
    assert shared.joints == ((2, 0), (1, 2), (0, 3))
    assert shared.limbs == ((1, 0, -1), (0, 2, 1))  # pelvis-neck runs the other way, nose-neck the same
    assert shared.fresh == ("left_hip", "neck-left_hip")


@pytest.mark.parametrize("config", [LIGHT, ATTENTION], ids=["light", "attention"])
def test_shared_maps_stay_and_reversed_limbs_point_the_other_way(config: StudentConfig) -> None:
    torch.manual_seed(0)
    student = build_student(replace(config, skeleton="coco-17")).eval()
    new, shared = with_joint_set(student, replace(config, skeleton="coco-18"))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        (old_maps, old_fields), (maps, fields) = student(images), new(images)
    source, target = get_skeleton("coco-17"), get_skeleton("coco-18")
    for at, joint in enumerate(target.joints):
        if joint != "neck":
            torch.testing.assert_close(maps[:, at], old_maps[:, source.joints.index(joint)])
    elbow = target.limb_names.index(("right_hip", "right_knee")), source.limb_names.index(("right_knee", "right_hip"))
    torch.testing.assert_close(fields[:, elbow[0]], -old_fields[:, elbow[1]])
    ear = target.limb_names.index(("right_eye", "right_ear")), source.limb_names.index(("right_eye", "right_ear"))
    torch.testing.assert_close(fields[:, ear[0]], old_fields[:, ear[1]])
    assert "neck" in shared.fresh
    assert maps.abs().max() > 0


def test_what_is_fresh_follows_from_the_seed() -> None:
    student = build_student(LIGHT)

    def neck(seed: int) -> Any:
        torch.manual_seed(seed)
        new, _ = with_joint_set(student, replace(LIGHT, skeleton="coco-18"))
        return new.state_dict()["head.out.weight"][1]

    assert torch.equal(neck(1), neck(1))
    assert not torch.equal(neck(1), neck(2))
