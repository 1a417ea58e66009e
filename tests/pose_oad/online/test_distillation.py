from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.strategies.sampling import Random
from callbacks.timing import Timing
from pose_oad.online import learner
from pose_oad.online.batch import labelled_batch
from pose_oad.online.clocks import Charge, Clock, Work
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.learner import Learner, freeze_batch_norm
from pose_oad.online.memory import Fifo
from pose_oad.online.options import TrainingOptions
from pose_oad.online.triggers import Plan, Trigger, WindowStats
from pose_oad.online.weights import GatedWeights, Judge, Weights
from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.maps.resample import resample_to_input
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import PoseStudent
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.teachers.window_labels import WindowLabels, match_maps
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import build_options
from tests.windows import Listed, Steps, make_loop, make_window, play, small_student

BODY = get_skeleton("body-12")


def test_maps_are_matched_by_joint_and_limb_name() -> None:
    openpose = get_skeleton("coco-18")
    maps = torch.arange(18.0).view(1, 18, 1, 1).expand(1, 18, 2, 2)
    fields = torch.arange(1.0, 20.0).view(1, 19, 1, 1, 1).expand(1, 19, 2, 2, 2)
    labels = WindowLabels(openpose, torch.zeros(1, 0, 18, 3), maps, fields)
    target, joints, limbs = match_maps(labels, BODY)
    assert joints.all()
    assert target.confidence_maps[0, BODY.index("left_wrist"), 0, 0] == openpose.index("left_wrist")
    names = BODY.limb_names
    elbow = names.index(("left_elbow", "left_wrist"))
    assert target.part_affinity_fields[0, elbow, 0, 0, 0] == 1 + openpose.limb_names.index(("left_elbow", "left_wrist"))
    # the student's shin goes from the ankle up, OpenPose's from the knee down
    shin = names.index(("left_ankle", "left_knee"))
    assert target.part_affinity_fields[0, shin, 0, 0, 0] == -(
        1 + openpose.limb_names.index(("left_knee", "left_ankle"))
    )
    # OpenPose has no limb between the hips
    assert not limbs[names.index(("left_hip", "right_hip"))]
    assert int(limbs.sum()) == 8


def test_weights_are_the_same_whether_targets_are_rendered_at_once_or_batch_by_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = []
    for kept in (learner._KEPT_BYTES, 0):
        monkeypatch.setattr(learner, "_KEPT_BYTES", kept)
        loop = make_loop(epochs=2, batch_norm="frozen", batch_size=2)
        play(loop, make_window(5))
        ends.append(loop.learner.student.state_dict())
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_joints_the_teacher_has_not_are_unknown() -> None:
    legs = Skeleton("legs", ("left_knee", "left_ankle"), ((0, 1),))
    labels = WindowLabels(legs, torch.zeros(1, 0, 2, 3), torch.ones(1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2))
    target, joints, limbs = match_maps(labels, BODY)
    assert [BODY.joints[j] for j in joints.nonzero()[:, 0]] == ["left_knee", "left_ankle"]
    assert int(limbs.sum()) == 1
    assert target.confidence_maps.sum() == 2 * 4


def test_teacher_maps_land_where_the_frame_lies_in_the_input() -> None:
    maps = torch.zeros(1, 1, 4, 8)
    maps[0, 0, 1, 6] = 1.0  # covers the frame's px (600, 150) .. (700, 200) of 800x400
    resize = FrameResize.of((800, 400), (64, 64), "letterbox")  # picture in rows 16 to 48
    out = resample_to_input(maps, resize, (16, 16))
    assert not out[..., :4, :].any()
    assert not out[..., 12:, :].any()
    row, column = divmod(int(out.argmax()), 16)
    # frame px (650, 150) is input px (52, 28): cell (13, 7), or the one beside it
    assert (row, column) in {(6, 12), (6, 13), (7, 12), (7, 13)}


def test_resampling_onto_the_same_grid_changes_nothing() -> None:
    maps = torch.rand(2, 3, 16, 16)
    out = resample_to_input(maps, FrameResize.of((100, 100), (64, 64), "letterbox"), (16, 16))
    assert torch.allclose(out, maps, atol=1e-5)


def learner_of(**options) -> Learner:
    return Learner(small_student(), TrainingOptions(**options))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"epochs": 2, "batch_size": 4}, 6),
        ({"epochs": 3, "batch_size": 32}, 3),
        ({"unit": "steps", "steps": 5, "batch_size": 4}, 5),
    ],
)
def test_batches_cover_every_chosen_frame_in_every_epoch(options: dict, steps: int) -> None:
    planned = TrainingOptions(**options).planned(10, options["batch_size"])
    batches = list(learner_of(**options)._rows(10, options["batch_size"], 0, planned))
    assert len(batches) == steps
    per_epoch = -(-10 // options["batch_size"])
    for epoch in range(steps // per_epoch):
        rows = torch.cat(batches[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert sorted(rows.tolist()) == list(range(10))


@pytest.mark.parametrize(
    ("chosen", "steps"),
    [(15, 10), (31, 10), (32, 10), (33, 10), (75, 20), (150, 40), (300, 90), (600, 180), (1500, 460)],
)
def test_a_last_batch_is_dropped_where_there_is_a_full_one(chosen: int, steps: int) -> None:
    learner = learner_of(epochs=10, batch_size=32, last_batch="drop")
    batches = list(learner._rows(chosen, 32, 0, learner.options.planned(chosen, 32)))
    assert [len(rows) for rows in batches] == [min(chosen, 32)] * steps
    if chosen % 32:  # another remainder in every epoch
        assert len(torch.cat(batches).unique()) == chosen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"last_batch": "pad"}, "training.last_batch=pad: expected keep or drop"),
        ({"undetected_joints": "zero"}, "training.undetected_joints=zero: expected mask or background"),
    ],
)
def test_unknown_choices_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_options(TrainingOptions, options, "training")


def test_a_joint_the_teacher_misses_is_masked_or_background() -> None:
    window, positions = make_window(2), np.arange(2)
    keypoints = torch.rand(2, 1, len(BODY), 3) * 60 + 1
    keypoints[0, 0, 2] = 0.0
    supplied = torch.arange(len(BODY)) != 5
    batch = labelled_batch(window, positions, WindowLabels(BODY, keypoints), BODY, supplied)
    assert batch.known.tolist() == [supplied.tolist()] * 2
    cells = {rule: learner_of(undetected_joints=rule).losses.target(batch).cells for rule in ("mask", "background")}
    assert cells["background"] is None
    assert cells["mask"] is not None
    missed = (~cells["mask"].joints).flatten(2).any(2)
    assert missed.tolist() == [[joint == 2 for joint in range(12)], [False] * 12]
    unusable = WindowLabels(BODY, keypoints, unusable=torch.tensor([True, False]))
    assert not labelled_batch(window, positions, unusable, BODY, supplied).known[0].any()


def test_the_order_of_frames_is_seeded_and_differs_between_windows() -> None:
    first, again, other = (
        [rows.tolist() for rows in learner_of(epochs=1)._rows(32, 32, index, 1)] for index in (0, 0, 1)
    )
    assert first == again != other


def test_frozen_batch_norm_stays_in_evaluation_mode() -> None:
    student = small_student().train()
    freeze_batch_norm(student)
    layers = [m for m in student.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert layers
    assert not any(layer.training for layer in layers)
    assert student.training


def test_the_students_description_follows_what_it_was_trained_with() -> None:
    loop = make_loop(strategy=Listed([], [1, 3]), epochs=1, foreground=5.0)
    loop.learner.student.trained_with(10.0)
    for index, foreground in enumerate((10.0, 5.0)):
        play(loop, make_window(5, index=index))
        assert loop.learner.student.foreground == foreground
    assert loop.weights.newest().foreground == 5.0


def test_a_window_without_a_choice_trains_nothing() -> None:
    loop = make_loop(strategy=Listed([]))
    before = {key: value.clone() for key, value in loop.learner.student.state_dict().items()}
    [record] = play(loop, make_window(5))
    assert all(torch.equal(before[key], value) for key, value in loop.learner.student.state_dict().items())
    assert loop.steps == loop.labels.calls == 0
    assert (record.labels, record.ready_s) == (None, None)


def test_a_window_in_which_nobody_was_found_trains_nothing() -> None:
    loop = make_loop(strategy=Listed([1, 3]))
    [record] = play(loop, make_window(5, truth=torch.zeros(5, 1, 12, 3)))
    assert record.training.steps == 0
    assert record.counts == {"teacher_calls": 2, "frames_without_person": 2}
    record = replace(record, measured=SimpleNamespace(counts={}))  # type: ignore[arg-type]
    assert Timing(loop.watch).window_closed(record)["windows_not_trained"] == 1


def test_a_memory_takes_in_what_was_sound_and_empty_frames_up_to_a_share() -> None:
    loop = make_loop(batch_norm="frozen", epochs=2)
    loop.learner.memory = memory = Fifo(empty_share=0.25)
    nobody = torch.zeros(5, 1, 12, 3)
    for index, (truth, rate, kept) in enumerate(
        [(None, 1e-3, 5), (None, 1e30, 5), (nobody, 1e-3, 6), (nobody, 1e-3, 6)]
    ):
        loop.learner.optimization.learning_rate = rate
        [record] = play(loop, make_window(5, index=index, truth=truth))
        assert len(memory) == kept
        assert record.training.rejected == (rate > 1)


def test_a_teacher_without_a_common_joint_is_refused() -> None:
    loop = make_loop(teacher=TruthTeacher(Skeleton("hand-1", ("thumb",))))
    with pytest.raises(UserError, match="hand-1 and body-12"):
        OnlineDistillation(loop).setup("fit")


def test_new_weights_serve_from_the_next_window_on_and_training_does_not_touch_them() -> None:
    loop = make_loop(epochs=1)
    first, second = make_window(5), make_window(5, index=1)
    before = loop.weights.student.keypoints(first.frames).single
    records = play(loop, first, second)
    assert torch.equal(records[0].measured.predictions, first.to_frame(before))
    assert records[0].ready_s == first.closed_s == second.arrivals[0]
    assert [record.steps_before for record in records] == [0, records[0].training.steps]
    trained, newest = loop.learner.student.state_dict(), loop.weights.newest().state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in newest.items())
    assert all(value.data_ptr() != trained[key].data_ptr() for key, value in newest.items())
    assert loop.weights.state_dict() == {"served": None, "pending": []}  # the student's own, which are kept anyway


class Late(Clock):
    """Ready so long after the window's end."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    def charge(self, work: Work) -> Charge:
        return Charge(work.closed_s + self.delay_s)


def test_weights_that_are_late_serve_from_the_frame_on_that_arrives_then() -> None:
    """Five frames a window, one a second; the first window's weights are ready 2.5 s after its end: at frame 8."""
    instant, late, never = (make_loop(epochs=2) for _ in range(3))
    late.clock, never.clock = Late(2.5), Late(1e9)
    stream = [make_window(5), make_window(5, index=1)]
    predictions = [play(loop, *stream)[1].measured.predictions for loop in (instant, late, never)]
    assert torch.allclose(predictions[1][:3], predictions[2][:3], atol=1e-3)
    assert torch.allclose(predictions[1][3:], predictions[0][3:], atol=1e-3)
    assert not torch.allclose(predictions[0][:3], predictions[2][:3], atol=1e-3)


class Refusing(Weights):
    """Refuses every version."""

    def accepts(self, candidate: PoseStudent, judge: Judge) -> bool:
        return False


def test_a_refused_version_never_serves() -> None:
    loop = make_loop(epochs=1)
    loop.weights = Refusing()
    loop.weights.started(loop.learner.student)
    before = {key: value.clone() for key, value in loop.weights.student.state_dict().items()}
    [record] = play(loop, make_window(5))
    assert record.training.made
    assert record.ready_s is None
    assert all(torch.equal(before[key], value) for key, value in loop.weights.newest().state_dict().items())


def test_a_gate_refuses_what_does_worse_on_labels_held_back() -> None:
    student, weights = small_student(), GatedWeights(tolerance=0.1)
    weights.started(student)
    losses = {0.0: 1.0, 1.0: 0.5, 2.0: 0.56, 3.0: 0.5}

    def judge(network: PoseStudent) -> float:
        return losses[float(network.head.out.bias[0].detach())]

    for bias, accepted in ((0.0, True), (1.0, True), (2.0, False), (3.0, True)):
        with torch.no_grad():
            student.head.out.bias.fill_(bias)
            if bias == 0.0:
                weights.started(student)
        assert weights.publish(student, ready_s=1.0, judge=judge) == accepted
    assert float(weights.newest().head.out.bias[0]) == 3.0
    assert weights.publish(student, 2.0)  # nothing was held back


def test_versions_that_wait_are_part_of_the_state() -> None:
    student, weights, again = small_student(), Weights(), Weights()
    weights.started(student)
    again.started(student)
    with torch.no_grad():
        student.head.out.bias.fill_(3.0)
    weights.publish(student, ready_s=5.0)
    file = io.BytesIO()
    torch.save(weights.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    spans = [(span.start, span.stop, float(span.student.head.out.bias[0])) for span in again.at(np.arange(3.0, 8.0))]
    assert [(start, stop) for start, stop, _ in spans] == [(0, 2), (2, 5)]
    assert spans[0][2] != spans[1][2] == 3.0


class Skip(Trigger):
    """Labels every window, trains on every other one only, for three steps."""

    def plan(self, stats: WindowStats) -> Plan:
        return Plan(2, 3 * (stats.index % 2))


def test_a_trigger_sets_labels_and_steps() -> None:
    loop = make_loop(strategy=Random(), epochs=7)
    loop.trigger = Skip()
    records = play(loop, make_window(5), make_window(5, index=1))
    assert [(len(record.choice.positions), record.training.steps) for record in records] == [(2, 0), (2, 3)]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"epochs": 0}, "training.epochs=0"),
        ({"steps": 0}, "training.steps=0"),
        ({"steps": None}, "training.steps=None"),
        ({"unit": "time"}, "training.unit=time"),
        ({"batch_size": 1.5}, "training.batch_size=1.5"),
        ({"learning_rate": -1}, "training.learning_rate=-1"),
        ({"optimizer_state": "old"}, "training.optimizer_state=old"),
        ({"batch_norm": "on"}, "training.batch_norm=on"),
        ({"labels": "soft"}, "training.labels=soft"),
    ],
)
def test_unusable_options_are_refused(options: dict, key: str) -> None:
    with pytest.raises(UserError, match=key):
        build_options(TrainingOptions, options, "training")


class Faulty(TruthTeacher):
    """The truth, but in every frame one joint is nowhere, or one cell of a map is."""

    def __init__(self, maps: bool) -> None:
        super().__init__(BODY)
        self.maps = maps

    def label(self, request: TeacherRequest) -> Labels:
        labels, frames = super().label(request), len(request.ids)
        if not self.maps:
            labels.keypoints[:, :, 3, 0] = float("nan")
            return labels
        fields = torch.zeros(frames, len(BODY.limbs), 2, 8, 8)
        fields[:, 0, 0, 4, 4] = float("inf")
        return Labels(labels.keypoints, torch.zeros(frames, len(BODY), 8, 8), fields)


@pytest.mark.parametrize("maps", [False, True])
def test_labels_that_are_not_finite_teach_nothing(maps: bool, caplog: pytest.LogCaptureFixture) -> None:
    loop = make_loop(teacher=Faulty(maps), labels="maps" if maps else "keypoints", batch_norm="frozen", epochs=2)
    weights = {key: value.clone() for key, value in loop.learner.student.state_dict().items()}
    [record] = play(loop, make_window(5))
    assert record.counts["labels_not_finite"] == 5
    assert not record.training.rejected
    assert all(torch.equal(weights[key], value) for key, value in loop.learner.student.state_dict().items())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("options", [{}, {"batch_norm": "frozen", "unit": "steps", "steps": 1}])
@pytest.mark.parametrize("state", ["fresh", "kept"])
def test_what_diverges_is_undone(options: dict, state: str, caplog: pytest.LogCaptureFixture) -> None:
    loop = make_loop(optimizer_state=state, learning_rate=1e10, **{"epochs": 2, **options})
    weights = {key: value.clone() for key, value in loop.learner.student.state_dict().items()}
    steps = Steps(loop)
    for index in range(2):
        record = loop.play(make_window(5, index=index), steps)
        assert record.training.rejected
        assert record.ready_s is None
    assert all(torch.equal(weights[key], value) for key, value in loop.learner.student.state_dict().items())
    assert not steps.optimizer.state
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "window 1: training diverged" in caplog.text
