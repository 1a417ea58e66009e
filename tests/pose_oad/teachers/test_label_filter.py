from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pose_oad.cli.command import compose_config
from pose_oad.cli.teachers import make_teacher
from pose_oad.online.batch import labelled_batch
from pose_oad.online.label_service import LabelService
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.label_filter import FilteredTeacher
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import RefusedError
from tests.teachers import BODY, FixedTeacher, standing
from tests.windows import make_window

WRIST, ELBOW, KNEE = (BODY.index(joint) for joint in ("left_wrist", "left_elbow", "left_knee"))


def filtered(people: torch.Tensor, **options: Any) -> Labels:
    """Send people, shape (frames, people, joints, 3), through a filter at a frame of 100x100 px."""
    request = TeacherRequest(np.arange(len(people)), None, (100, 100))
    return FilteredTeacher(FixedTeacher(Labels(people, counts={"labels_missing": 7})), **options).label(request)


def rejected(labels: Labels) -> dict[str, int]:
    """What was rejected, by reason."""
    prefix = "labels_rejected/"
    return {name.removeprefix(prefix): n for name, n in labels.counts.items() if name.startswith(prefix) and n}


def test_a_likely_person_passes_as_it_is() -> None:
    people = standing()[None, None]
    labels = filtered(people, min_confidence=0.5, limb_ratio=2.0, limb_asymmetry=1.5, min_joints=12)
    assert torch.equal(labels.keypoints, people)
    assert rejected(labels) == {}
    assert labels.counts["labels_missing"] == 7
    assert labels.unusable is not None
    assert not labels.unusable.any()


def test_joints_of_low_confidence_and_outside_the_frame_were_not_found() -> None:
    people = standing()[None, None]
    people[0, 0, WRIST, 2] = 0.2
    people[0, 0, KNEE, 0] = 100.5
    labels = filtered(people, min_confidence=0.3)
    assert not labels.keypoints[0, 0, [WRIST, KNEE]].any()
    assert (labels.keypoints[0, 0, :, 2] > 0).sum() == 10
    assert rejected(labels) == {"low_confidence": 1, "outside_frame": 1}
    assert rejected(filtered(people, inside=False)) == {}


@pytest.mark.parametrize(("length", "wrong"), [(39, 0), (41, 1)])
def test_a_limb_beyond_twice_the_median_is_impossible(length: float, wrong: int) -> None:
    """The median of ten limbs of 20 px and two of 10 px is 20 px."""
    people = standing(top=5)[None, None]
    people[0, 0, WRIST, 1] = people[0, 0, ELBOW, 1] + length
    people[0, 0, WRIST, 2] = 0.4  # less sure than the elbow
    labels = filtered(people, limb_ratio=2.0)
    assert rejected(labels) == ({"long_limb": 1} if wrong else {})
    assert (labels.keypoints[0, 0, :, 2] == 0).nonzero().flatten().tolist() == [WRIST] * wrong


def test_the_joint_in_most_impossible_limbs_is_blamed() -> None:
    """A knee far off makes thigh and shin too long: it alone goes, though it is the surest."""
    people = standing(confidence=0.5)[None, None]
    people[0, 0, KNEE] = torch.tensor([99.0, 99.0, 0.9])
    people[0, 0, BODY.index("left_ankle"), :2] = torch.tensor([50.0, 20.0])
    labels = filtered(people, limb_ratio=2.5)
    assert (labels.keypoints[0, 0, :, 2] == 0).nonzero().flatten().tolist() == [KNEE]


def test_limbs_of_equal_ends_lose_both() -> None:
    people = standing(top=5)[None, None]
    people[0, 0, WRIST, 1] = 99
    assert rejected(filtered(people, limb_ratio=3.0)) == {"long_limb": 2}


def test_limbs_of_people_with_few_of_them_are_not_judged() -> None:
    people = torch.zeros(1, 1, 12, 3)
    people[0, 0, [0, 2, 4]] = torch.tensor([[10.0, 10, 1], [11, 10, 1], [90, 90, 1]])
    assert rejected(filtered(people, limb_ratio=1.1)) == {}


@pytest.mark.parametrize(("factor", "wrong"), [(1.6, {}), (1.4, {"asymmetric_limb": 1})])
def test_a_limb_much_longer_than_that_of_the_other_side(factor: float, wrong: dict[str, int]) -> None:
    """The left forearm is 30 px long, the right one 20 px."""
    people = standing()[None, None]
    people[0, 0, WRIST, 1:] = torch.tensor([70.0, 0.5])
    labels = filtered(people, limb_asymmetry=factor)
    assert rejected(labels) == wrong
    assert (labels.keypoints[0, 0, :, 2] == 0).nonzero().flatten().tolist() == [WRIST] * len(wrong)


def test_people_with_too_few_joints_go_and_the_others_close_ranks() -> None:
    people = torch.stack([standing(), standing(70), torch.zeros(12, 3)])[None].repeat(3, 1, 1, 1)
    people[0, 0, 3:, 2] = 0.1
    people[1, :2, 3:, 2] = 0.1
    people[2] = 0.0
    labels = filtered(people, min_confidence=0.5, min_joints=4)
    assert rejected(labels) == {"low_confidence": 27, "few_joints": 3}
    assert torch.equal(labels.keypoints[0, 0], standing(70))
    assert not labels.keypoints[0, 1:].any()
    assert labels.unusable is not None
    # The second frame showed somebody: it is no background. In the third nobody ever was: it is.
    assert labels.unusable.tolist() == [False, True, False]


def test_no_frame_and_nobody_pass() -> None:
    assert filtered(torch.zeros(0, 0, 12, 3), limb_ratio=3.0).keypoints.shape == (0, 0, 12, 3)
    labels = filtered(torch.zeros(2, 0, 12, 3), limb_ratio=3.0, limb_asymmetry=3.0)
    assert labels.keypoints.shape == (2, 0, 12, 3)
    assert rejected(labels) == {}


def test_windows_count_what_is_rejected_and_learn_nothing_from_such_frames() -> None:
    people = torch.stack([standing(confidence=0.9), standing(confidence=0.2), torch.zeros(12, 3)]).unsqueeze(1)
    service = LabelService(FilteredTeacher(FixedTeacher(Labels(people)), min_confidence=0.5))
    window = make_window(3, sizes=((100, 100),))
    labels, counts = service.label(window, np.arange(3)), service.take_counts()
    assert counts["labels_rejected/low_confidence"] == 12
    assert counts["labels_rejected/few_joints"] == 1
    known = labelled_batch(window, np.arange(3), labels, BODY, torch.ones(12, dtype=torch.bool)).known
    assert known.all(1).tolist() == [True, False, True]
    assert not known[1].any()
    assert service.label(window, np.array([1])).unusable.tolist() == [True]  # type: ignore[union-attr]


def test_the_filter_is_switched_on_by_configuration() -> None:
    node = compose_config("online").teacher
    plain = make_teacher(node, BODY)
    assert isinstance(plain, TruthTeacher)
    behind = make_teacher(
        compose_config("online", ["label_filter=default", "teacher.label_filter.min_joints=3"]).teacher, BODY
    )
    assert isinstance(behind, FilteredTeacher)
    assert (behind.name, behind.uses_truth, behind.skeleton) == ("truth", True, BODY)
    assert behind.image_size((64, 48)) is None
    truth = standing()[None, None]
    request = TeacherRequest(np.array([0]), None, (100, 100), truth)
    assert torch.equal(behind.label(request).keypoints, plain.label(request).keypoints)


def test_limbs_are_asked_about_where_there_are_some() -> None:
    tail = FixedTeacher(Labels(torch.zeros(0, 0, 2, 3)), Skeleton("tail", ("tail_base", "tail_end"), ((0, 1),)))
    FilteredTeacher(tail)
    with pytest.raises(RefusedError, match=r"limb_ratio=3\.0: .*tail"):
        FilteredTeacher(tail, limb_ratio=3.0)


def test_limbs_are_found_by_name_in_any_joint_set() -> None:
    skeleton = get_skeleton("coco-18")
    people = torch.zeros(1, 1, 18, 3)
    for joint in BODY.joints:
        people[0, 0, skeleton.index(joint)] = standing()[BODY.index(joint)]
    people[0, 0, skeleton.index("left_wrist")] = torch.tensor([90.0, 99, 0.5])
    labels = FilteredTeacher(FixedTeacher(Labels(people), skeleton), limb_ratio=2.5).label(
        TeacherRequest(np.arange(1), None, (100, 100))
    )
    assert rejected(labels) == {"long_limb": 1}
    assert not labels.keypoints[0, 0, skeleton.index("left_wrist")].any()
