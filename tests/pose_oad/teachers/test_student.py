from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_oad.students.checkpoint import save_student
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.student import CheckpointTeacher
from pose_oad.tracking.errors import UserError
from tests.exports import random_student
from tests.trt_pose import write_reference


@pytest.mark.parametrize(
    ("resize_mode", "size", "cells"), [("letterbox", (64, 32), (8, 16)), ("squash", (64, 96), (24, 16))]
)
def test_frames_lie_as_in_the_checkpoints_training(
    tmp_path: Path, resize_mode: str, size: tuple[int, int], cells: tuple[int, int]
) -> None:
    save_student(random_student((64, 96), resize_mode=resize_mode), tmp_path / "student.ckpt")
    teacher = CheckpointTeacher(str(tmp_path / "student.ckpt"))
    assert teacher.image_size((120, 60)) == size
    images = np.zeros((2, size[1], size[0], 3), np.uint8)
    labels = teacher.label(TeacherRequest(np.arange(2), images, (120, 60)))
    assert labels.confidence_maps is not None
    assert labels.confidence_maps.shape == (2, 12, *cells)


def test_the_weights_of_trt_pose_are_a_teacher(tmp_path: Path) -> None:
    teacher = CheckpointTeacher(str(write_reference(tmp_path, "resnet18")))
    assert teacher.name == "checkpoint:trt_pose_resnet18"
    assert (teacher.skeleton.name, teacher.image_size((640, 480))) == ("trt-pose-18", (224, 224))


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, device: str) -> None:
    save_student(random_student((64, 96)), tmp_path / "student.ckpt")
    with pytest.raises(UserError, match=rf"teacher\.device={device}: "):
        CheckpointTeacher(str(tmp_path / "student.ckpt"), device=device)
