from __future__ import annotations

import logging

import pytest

from pose_oad.poses.joint_check import check_joint_sets
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.tracking.errors import UserError

BODY, COCO = get_skeleton("body-12"), get_skeleton("coco-17")
HAND = Skeleton("hand", ("thumb", "index"))


def test_joints_that_are_left_out_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_joint_sets(BODY, teacher=COCO, truth=None)
        assert not caplog.messages
        check_joint_sets(Skeleton("more", (*BODY.joints, "neck", "tail")), teacher=BODY, truth=COCO)
    taught, measured = caplog.messages
    assert taught == "the teacher's joint set body-12 has no tail; the student is not trained on them"
    assert measured == "the ground truth's joint set coco-17 has no tail; not measured"  # a neck is computed


def test_joint_sets_that_do_not_meet_are_refused() -> None:
    with pytest.raises(UserError, match=r"teacher.*coco-17 .*hand"):
        check_joint_sets(HAND, teacher=COCO, truth=None)
    with pytest.raises(UserError, match=r"stream: .*coco-17"):
        check_joint_sets(HAND, teacher=HAND, truth=COCO)
