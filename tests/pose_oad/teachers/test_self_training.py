from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_oad.cli.assembly import prepare
from pose_oad.cli.command import compose_config
from pose_oad.cli.teachers import make_teacher
from pose_oad.students import load_student
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.cache import CachedTeacher
from pose_oad.teachers.self_training import SelfTeacher
from pose_oad.teachers.student import NetworkTeacher
from pose_oad.tracking.errors import UserError
from tests.teachers import standing

REQUEST = TeacherRequest(np.arange(3), np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8), (128, 128))


def test_only_what_the_student_is_sure_of_is_a_label(student_checkpoint: Path) -> None:
    """Of one person, whose joints are the less sure the later they come in the joint set."""
    student = load_student(student_checkpoint).train()
    person = standing(32, top=2).expand(3, 1, -1, -1) * torch.tensor([1.0, 0.95, 1.0])
    maps, fields = student.targets(person)
    faint = torch.linspace(1.0, 0.2, len(student.skeleton)).view(1, -1, 1, 1)
    student.maps = lambda frames: (maps * faint, fields)  # type: ignore[method-assign]
    everything = NetworkTeacher(student, 32, "all").label(REQUEST)
    assert (everything.keypoints[..., 2] > 0).all()
    labels = SelfTeacher(student, threshold=0.5).label(REQUEST)
    sure = everything.keypoints[..., 2] >= 0.5
    assert torch.equal(labels.keypoints, everything.keypoints * sure.unsqueeze(-1))
    assert sure[..., 0].all()
    assert not sure[..., -1].any()
    assert student.training
    nothing = SelfTeacher(student, threshold=1.0).label(REQUEST)
    assert not nothing.keypoints.any()
    assert nothing.unusable is not None
    assert nothing.unusable.all()


def test_the_student_teaches_as_pretrained_or_as_it_is_now(student_checkpoint: Path) -> None:
    student = load_student(student_checkpoint)
    before, now = SelfTeacher(student, 0.0), SelfTeacher(student, 0.0, weights="now")
    first = before.label(REQUEST).confidence_maps
    with torch.no_grad():
        for parameter in student.head.parameters():
            parameter.mul_(1.5)
    assert torch.equal(before.label(REQUEST).confidence_maps, first)  # type: ignore[arg-type]
    assert not torch.equal(now.label(REQUEST).confidence_maps, first)  # type: ignore[arg-type]


def test_a_run_hands_its_student_over_and_never_keeps_such_labels(
    student_checkpoint: Path, human36m_tree: Path, tmp_path: Path
) -> None:
    overrides = ["teacher=self", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]"]
    overrides += [f"stream.root={human36m_tree}", f"label_cache={tmp_path}", "teacher.weights=now"]
    run = prepare(compose_config("online", overrides))
    teacher = run.module.loop.labels.teacher
    assert isinstance(teacher, SelfTeacher)
    assert not isinstance(teacher, CachedTeacher)
    assert teacher._network is run.module.student


def test_without_a_student_there_is_nobody_to_ask() -> None:
    with pytest.raises(UserError, match="teacher=self"):
        make_teacher(compose_config("online", ["teacher=self"]).teacher, None)
