from __future__ import annotations

import math

import pytest
import torch

from pose_oad.metrics.keypoints import DetectionRate, MissingRule, Mpjpe, Pck, joint_errors, torso_length
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.tracking.errors import UserError

# Two frames, three joints. Frame 0: off by (3, 4) = 5 px and sure; off by 30 px and unsure; no label.
# Frame 1: nothing is found; off by 10, 20 and 30 px.
LABELLED = torch.tensor([
    [[10.0, 10.0, 1.0], [50.0, 50.0, 1.0], [0.0, 0.0, 0.0]],
    [[10.0, 10.0, 1.0], [50.0, 50.0, 1.0], [90.0, 90.0, 1.0]],
])  # fmt: skip
PREDICTED = torch.tensor([
    [[13.0, 14.0, 0.9], [50.0, 80.0, 0.05], [70.0, 70.0, 0.9]],
    [[20.0, 10.0, 0.01], [70.0, 50.0, 0.02], [90.0, 60.0, 0.03]],
])  # fmt: skip


def mpjpe(policy: str, scale: float = 1.0) -> list[float]:
    metric = Mpjpe(3)
    metric.update(joint_errors(PREDICTED, LABELLED, MissingRule(policy, 0.1, 100.0), scale))  # type: ignore[arg-type]
    return metric.compute().tolist()


@pytest.mark.parametrize(
    ("policy", "joints", "overall"),
    [
        ("argmax", [(5 + 10) / 2, (30 + 20) / 2, 30], (5 + 30 + 10 + 20 + 30) / 5),
        ("drop", [5, math.nan, math.nan], 5),
        ("penalty", [(5 + 100) / 2, 100, 100], (5 + 400) / 5),
        # the unsure joint of frame 0 counts as error 0, all of frame 1 is left out: not detecting pays
        ("zero", [5, 0, math.nan], 2.5),
    ],
)
def test_missing_joint_policies(policy: str, joints: list[float], overall: float) -> None:
    assert mpjpe(policy) == pytest.approx([*joints, overall], nan_ok=True)


def test_errors_are_scaled_to_the_reported_image() -> None:
    assert mpjpe("argmax", scale=2.0)[-1] == pytest.approx(2 * 19)


def test_windows_add_up_to_the_stream() -> None:
    rule = MissingRule()
    parts, whole = Mpjpe(3), Mpjpe(3)
    for frame in range(2):
        parts.update(joint_errors(PREDICTED[frame : frame + 1], LABELLED[frame : frame + 1], rule))
    whole.update(joint_errors(PREDICTED, LABELLED, rule))
    assert torch.equal(parts.compute(), whole.compute())


def test_error_of_each_frame() -> None:
    errors = joint_errors(PREDICTED, LABELLED, MissingRule("drop"))
    assert errors.per_frame().tolist() == pytest.approx([5, math.nan], nan_ok=True)


def test_pck_in_px_counts_unfound_joints_as_misses_except_under_argmax() -> None:
    for policy, within in (("argmax", 2 / 5), ("drop", 1 / 5)):
        metric = Pck(10.0)
        metric.update(joint_errors(PREDICTED, LABELLED, MissingRule(policy)))  # type: ignore[arg-type]
        assert float(metric.compute()) == pytest.approx(within)


def test_pck_of_a_reference_length_leaves_out_frames_without_one() -> None:
    metric = Pck(0.5)
    metric.update(joint_errors(PREDICTED, LABELLED, MissingRule()), torch.tensor([10.0, math.nan]))
    assert float(metric.compute()) == pytest.approx(1 / 2)  # 5 px is within 0.5 * 10, 30 px is not


def test_detection_rate_looks_at_labelled_joints_only() -> None:
    metric = DetectionRate()
    metric.update(joint_errors(PREDICTED, LABELLED, MissingRule()))
    assert float(metric.compute()) == pytest.approx(1 / 5)


def test_torso_goes_from_left_shoulder_to_right_hip() -> None:
    body = get_skeleton("body-12")
    people = torch.zeros(2, 12, 3)
    people[:, body.index("left_shoulder")] = torch.tensor([0.0, 0.0, 1.0])
    people[0, body.index("right_hip")] = torch.tensor([30.0, 40.0, 1.0])
    assert torso_length(people, body).tolist() == pytest.approx([50, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("rule", "key"),
    [(MissingRule("worst"), "metric.undetected_joints=worst"), (MissingRule(threshold=2), "metric.threshold=2")],
)  # type: ignore[arg-type]
def test_unusable_rules_are_refused(rule: MissingRule, key: str) -> None:
    with pytest.raises(UserError, match=key):
        rule.validate()


def test_each_frame_may_be_reported_at_a_scale_of_its_own() -> None:
    skeleton = get_skeleton("body-12")
    labelled = torch.ones(2, 12, 3)
    labelled[:, skeleton.index("right_hip"), 0] = 5.0  # 4 px from the left shoulder
    predicted = labelled + torch.tensor([3.0, 0, 0])
    scale = torch.tensor([1.0, 2.0])
    assert joint_errors(predicted, labelled, MissingRule(), scale).per_frame().tolist() == [3, 6]
    assert torso_length(labelled, skeleton, scale).tolist() == [4, 8]
