from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pose_oad.online import learner
from pose_oad.online.batch import labelled_batch
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.label_service import LabelService
from pose_oad.online.learner import TrainingOptions, freeze_batch_norm
from pose_oad.online.memory import Fifo
from pose_oad.poses.geometry import FrameFit
from pose_oad.poses.maps.resample import resample_to_input
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import StudentConfig, build_student
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.teachers.window_labels import WindowLabels, match_maps
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import build_options
from tests.windows import make_window

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
        module = trained_by_hand(TruthTeacher(BODY), batch_norm="frozen", batch_size=2)
        window = make_window(5)
        window.label_service, window.selected = module.label_service, np.arange(5)
        module.training_step(window, 0)
        ends.append(module.student.state_dict())
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
    fit = FrameFit.of((800, 400), (64, 64), "letterbox")  # picture in rows 16 to 48
    out = resample_to_input(maps, fit, (16, 16))
    assert not out[..., :4, :].any()
    assert not out[..., 12:, :].any()
    row, column = divmod(int(out.argmax()), 16)
    # frame px (650, 150) is input px (52, 28): cell (13, 7), or the one beside it
    assert (row, column) in {(6, 12), (6, 13), (7, 12), (7, 13)}


def test_resampling_onto_the_same_grid_changes_nothing() -> None:
    maps = torch.rand(2, 3, 16, 16)
    out = resample_to_input(maps, FrameFit.of((100, 100), (64, 64), "letterbox"), (16, 16))
    assert torch.allclose(out, maps, atol=1e-5)


def module_of(**options) -> OnlineDistillation:
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    return OnlineDistillation.of(student, TruthTeacher(BODY), TrainingOptions(**options))


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"epochs": 2, "batch_size": 4}, 6),
        ({"epochs": 3, "batch_size": 32}, 3),
        ({"unit": "steps", "steps": 5, "batch_size": 4}, 5),
    ],
)
def test_batches_cover_every_chosen_frame_in_every_epoch(options: dict, steps: int) -> None:
    batches = list(module_of(**options).learner._rows(10, options["batch_size"], 0))
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
    batches = list(module_of(epochs=10, batch_size=32, last_batch="drop").learner._rows(chosen, 32, 0))
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
    window = make_window(2)
    window.selected = np.arange(2)
    keypoints = torch.rand(2, 1, len(BODY), 3) * 60 + 1
    keypoints[0, 0, 2] = 0.0
    supplied = torch.arange(len(BODY)) != 5
    batch = labelled_batch(window, WindowLabels(BODY, keypoints), BODY, supplied)
    assert batch.known.tolist() == [supplied.tolist()] * 2
    cells = {rule: module_of(undetected_joints=rule).learner._target(batch).cells for rule in ("mask", "background")}
    assert cells["background"] is None
    assert cells["mask"] is not None
    missed = (~cells["mask"].joints).flatten(2).any(2)
    assert missed.tolist() == [[joint == 2 for joint in range(12)], [False] * 12]
    unusable = WindowLabels(BODY, keypoints, unusable=torch.tensor([True, False]))
    assert not labelled_batch(window, unusable, BODY, supplied).known[0].any()


def test_the_order_of_frames_is_seeded_and_differs_between_windows() -> None:
    first, again, other = (
        [rows.tolist() for rows in module_of(epochs=1).learner._rows(32, 32, index)] for index in (0, 0, 1)
    )
    assert first == again != other


def test_frozen_batch_norm_stays_in_evaluation_mode() -> None:
    student = module_of().student.train()
    freeze_batch_norm(student)
    layers = [m for m in student.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert layers
    assert not any(layer.training for layer in layers)
    assert student.training


def test_the_students_description_follows_what_it_was_trained_with() -> None:
    module = module_of(epochs=1, foreground=5.0)
    module.student.trained_with(10.0)
    optimizer = module.configure_optimizers()
    module.optimizers = lambda use_pl_optimizer=True: optimizer  # type: ignore[assignment, misc]
    module.manual_backward = lambda loss: loss.backward()  # type: ignore[assignment, method-assign]
    for chosen, foreground in ((np.empty(0, dtype=np.int64), 10.0), (np.array([1, 3]), 5.0)):
        window = make_window(5)
        window.label_service, window.selected = module.label_service, chosen
        module.training_step(window, 0)
        assert module.student.config.foreground == foreground


def test_a_window_without_a_choice_trains_nothing() -> None:
    module = module_of()
    before = {key: value.clone() for key, value in module.student.state_dict().items()}
    window = make_window(5)
    window.label_service = module.label_service
    window.selected = np.empty(0, dtype=np.int64)
    module.training_step(window, 0)
    assert all(torch.equal(before[key], value) for key, value in module.student.state_dict().items())
    assert module.optimizer_steps == module.label_service.calls == 0


def test_a_window_in_which_nobody_was_found_trains_nothing() -> None:
    module = module_of()
    window = make_window(5, truth=torch.zeros(5, 1, 12, 3))
    window.label_service, window.selected = module.label_service, np.array([1, 3])
    module.training_step(window, 0)  # it has no optimiser, which a training would miss
    assert module.optimizer_steps == 0
    assert window.counts == {"teacher_calls": 2, "frames_without_person": 2, "windows_not_trained": 1}


def test_a_memory_takes_in_what_was_sound_and_empty_frames_up_to_a_share() -> None:
    module = trained_by_hand(TruthTeacher(BODY), batch_norm="frozen")
    module.learner.memory = memory = Fifo(empty_share=0.25)
    nobody = torch.zeros(5, 1, 12, 3)
    for index, (truth, rate, kept) in enumerate(
        [(None, 1e-3, 5), (None, 1e30, 5), (nobody, 1e-3, 6), (nobody, 1e-3, 6)]
    ):
        module.learner.optimization.learning_rate = rate
        window = make_window(5, index=index, truth=truth)
        window.label_service, window.selected = module.label_service, np.arange(5)
        module.training_step(window, index)
        assert len(memory) == kept
        assert window.counts["windows_rejected"] == (rate > 1)


def test_a_teacher_without_a_common_joint_is_refused() -> None:
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    hand = Skeleton("hand-1", ("thumb",))
    with pytest.raises(UserError, match="hand-1 and body-12 have no joint in common"):
        OnlineDistillation.of(student, TruthTeacher(hand), TrainingOptions())


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
    module = trained_by_hand(Faulty(maps), labels="maps" if maps else "keypoints", batch_norm="frozen")
    weights = {key: value.clone() for key, value in module.student.state_dict().items()}
    window = make_window(5)
    window.label_service, window.selected = module.label_service, np.arange(5)
    module.training_step(window, 0)
    assert window.counts["labels_not_finite"] == 5
    assert window.counts["windows_rejected"] == 0
    assert all(torch.equal(weights[key], value) for key, value in module.student.state_dict().items())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def trained_by_hand(teacher: TruthTeacher, **options: Any) -> OnlineDistillation:
    """A module without a trainer."""
    module: Any = module_of(epochs=2, **options)
    optimizer = module.configure_optimizers()
    module.optimizers = lambda use_pl_optimizer: optimizer
    module.manual_backward = lambda loss: loss.backward()
    module.label_service = LabelService(teacher, (8, 8))
    return module


@pytest.mark.parametrize("options", [{}, {"batch_norm": "frozen", "unit": "steps", "steps": 1}])
@pytest.mark.parametrize("state", ["fresh", "kept"])
def test_what_diverges_is_undone(options: dict, state: str, caplog: pytest.LogCaptureFixture) -> None:
    module = trained_by_hand(TruthTeacher(BODY), optimizer_state=state, learning_rate=1e10, **options)
    weights = {key: value.clone() for key, value in module.student.state_dict().items()}
    for index in range(2):
        window = make_window(5, index=index)
        window.label_service, window.selected = module.label_service, np.arange(5)
        module.training_step(window, index)
        assert window.counts["windows_rejected"] == 1
    assert all(torch.equal(weights[key], value) for key, value in module.student.state_dict().items())
    assert not module.optimizers(use_pl_optimizer=False).state  # type: ignore[union-attr]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "window 1: training diverged" in caplog.text
