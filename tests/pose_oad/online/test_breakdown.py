from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.breakdown import Breakdown, Locator, measure, measure_located, true_person
from pose_oad.online.measurement import Measurement
from pose_oad.poses.maps import People, encode
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import StudentConfig, build_student
from pose_oad.students.keypoints import Poses
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.networks import MapNetwork
from tests.windows import make_window, record_of

BODY = get_skeleton("body-12")
PAIR = Skeleton("pair", ("left_shoulder", "right_hip"))


def frames(*offsets: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return predictions that lie beside their labels, one pair of distances (px) per frame."""
    labelled = torch.tensor([[[10.0, 10.0, 1.0], [10.0, 50.0, 1.0]]]).repeat(len(offsets), 1, 1)
    predicted = labelled.clone()
    predicted[..., 0] += torch.tensor(offsets)
    return predicted, labelled


def test_errors_by_group_and_joint() -> None:
    errors = Breakdown(PAIR, MissingRule())
    errors.update(*frames((1, 3), (2, 6)), labels={"subject": "S9", "action": "Walking"})
    errors.update(*frames((0, 12)), labels={"subject": "S11", "action": "Walking"})
    errors.update(*frames((4, 4)), scale=2.0, labels={"subject": "S9", "action": "Photo"})
    values = errors.values()
    assert errors.frames == 4
    assert values["mpjpe_px"] == pytest.approx((1 + 3 + 2 + 6 + 0 + 12 + 8 + 8) / 8)
    assert values["mpjpe_px/subject/S9"] == pytest.approx((1 + 3 + 2 + 6 + 8 + 8) / 6)
    assert values["mpjpe_px/subject/S11"] == pytest.approx(6)
    assert values["mpjpe_px/action/Walking"] == pytest.approx((1 + 3 + 2 + 6 + 0 + 12) / 6)
    assert values["mpjpe_px/action/Photo"] == pytest.approx(8)
    assert values["mpjpe_px/joint/left_shoulder"] == pytest.approx((1 + 2 + 0 + 8) / 4)
    assert values["mpjpe_px/joint/right_hip"] == pytest.approx((3 + 6 + 12 + 8) / 4)
    assert values["pck_3px"] == pytest.approx(4 / 8)  # 1, 3, 2, 0
    # torso 40 px, a fifth of it 8; twice as much in the frame of scale 2
    assert values["pck_02_torso"] == pytest.approx(7 / 8)
    assert values["detection_rate"] == 1.0


def test_a_joint_that_is_not_found_follows_the_rule() -> None:
    predicted, labelled = frames((2, 4))
    predicted[0, 1, 2] = 0.0
    errors = Breakdown(PAIR, MissingRule("drop"))
    errors.update(predicted, labelled, labels={"subject": "S9"})
    assert errors.values()["mpjpe_px/subject/S9"] == pytest.approx(2)
    assert errors.values()["detection_rate"] == pytest.approx(0.5)
    assert math.isnan(errors.values()["mpjpe_px/joint/right_hip"])


def test_frames_without_a_label_give_no_number() -> None:
    predicted, labelled = frames((1, 1))
    errors = Breakdown(PAIR, MissingRule())
    errors.update(predicted, torch.zeros_like(labelled), labels={"subject": "S9"})
    assert all(math.isnan(value) for value in errors.values().values())


def test_students_are_measured_on_the_candidates_of_every_segment() -> None:
    torch.manual_seed(0)
    students = {
        name: build_student(StudentConfig("s", "mobilenetv4_conv_small_050", input_size=(32, 32), head_channels=16))
        for name in ("a", "b")
    }
    window = make_window(8, sizes=((64, 64), (96, 48)), every=3, metric_scale=2.0)  # candidates 0, 3 and 6
    window.segments[0].labels.update({"subject": "S9"})
    window.segments[1].labels.update({"subject": "S11"})
    errors = measure([window], students, MissingRule(), batch_size=2)
    assert errors["a"].values() != errors["b"].values()
    truth = true_person(window, BODY)
    for name, student in students.items():
        found = window.to_frame(student.keypoints(window.frames).single)
        distance = (found - truth)[..., :2].norm(dim=-1).mean(1) * 2
        values = errors[name].values()
        assert errors[name].frames == 3
        assert values["mpjpe_px/subject/S9"] == pytest.approx(float(distance[[0, 3]].mean()), rel=1e-4)
        assert values["mpjpe_px/subject/S11"] == pytest.approx(float(distance[6]), rel=1e-4)


def test_several_people_are_matched_where_the_truth_holds_them() -> None:
    one = torch.cat([torch.arange(24.0).view(12, 2) * torch.tensor([1.0, 1.5]), torch.ones(12, 1)], 1)
    both = torch.stack([one, one + torch.tensor([30.0, 0.0, 0.0])]).expand(4, 2, 12, 3)
    window = make_window(4, size=64, truth=both)

    def locate(frames: torch.Tensor, people: object) -> Poses:
        assert (people == "one") == (counting == "one")
        found = People(both.flip(1) + torch.tensor([2.0, 0.0, 0.0]), torch.full((4, 2), 0.8))
        return Poses(both[:, 1], found if people == "many" else People(torch.zeros(0, 0, 12, 3), torch.zeros(0, 0)))

    figures = {}
    for counting in ("one", "auto", "many"):
        errors = measure_located([window], {"both": Locator(BODY, locate)}, MissingRule(), counting)
        figures[counting] = errors["both"].values()
    assert figures["one"]["mpjpe_px"] == pytest.approx(30)
    assert figures["auto"] == pytest.approx(figures["many"], nan_ok=True)
    assert figures["auto"]["mpjpe_px"] == pytest.approx(2)
    assert figures["auto"]["people/AP50"] == pytest.approx(1)
    assert figures["auto"]["people/recall"] == 1
    assert not any(name.startswith("people") for name in figures["one"])


def test_networks_are_measured_on_the_same_frames_in_original_px() -> None:
    # Frames of 64x64 px are shown at half their size: a shift by 1 px of the input is one by 2 px.
    places = torch.stack([4.0 + 4 * (torch.arange(12) % 3), 4.0 + 6 * (torch.arange(12) // 3), torch.ones(12)], -1)
    batches = []

    def seeing(shift: float) -> MapNetwork:
        def draw(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            batches.append(len(frames))
            people = (places + torch.tensor([shift, 0.0, 0.0])).expand(len(frames), 1, -1, -1)
            return tuple(encode(people, BODY, input_size=(32, 32), map_size=(8, 8), sigma=0.1))

        return MapNetwork(draw, BODY, (32, 32))

    truth = (places * torch.tensor([2.0, 2.0, 1.0])).expand(10, 1, -1, -1)
    windows = (make_window(10, index=number, truth=truth) for number in range(2))
    errors = measure(windows, {"exact": seeing(0.0), "shifted": seeing(1.0)}, MissingRule(), batch_size=4)
    assert errors["exact"].values()["mpjpe_px"] == pytest.approx(0, abs=0.05)
    assert errors["shifted"].values()["mpjpe_px"] == pytest.approx(2, abs=0.05)
    assert [grouped.frames for grouped in errors.values()] == [20, 20]
    assert batches == [4, 4, 2] * 4


def test_a_window_without_truth_is_refused() -> None:
    window = replace(make_window(2), truth_skeleton=None)
    with pytest.raises(UserError, match="clip 0 has no ground truth"):
        true_person(window, BODY)


def test_online_and_offline_errors_are_the_same_mean() -> None:
    """A frame with fewer labelled joints weighs less, in a stream as on test videos."""
    truth = torch.rand(4, 1, 12, 3) * 60 + 1
    truth[0, 0, 1:, 2] = 0
    window = make_window(4, truth=truth)
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    online = PrequentialEvaluation(Measurement(MissingRule(), BODY, TruthTeacher(BODY), teacher_every=None), BODY)
    figures = online.window_closed(record_of(window, online.measurement.measure_like(window, student)))
    offline = measure([window], {"student": student}, MissingRule())["student"].values()["mpjpe_px"]
    assert figures["mpjpe_px"] == pytest.approx(offline, rel=1e-5)
    assert online.summary()["mpjpe_px"] == pytest.approx(offline, rel=1e-5)
    assert abs(offline - np.concatenate(online.frame_errors).mean()) > 0.1
