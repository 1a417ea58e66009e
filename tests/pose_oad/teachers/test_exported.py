from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_oad.cli.command import build, compose_config
from pose_oad.cli.teachers import make_teacher
from pose_oad.students.checkpoint import save_student
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.onnx import OnnxTeacher
from pose_oad.teachers.student import CheckpointTeacher
from tests.exports import random_student, write_export


def ask(teacher: OnnxTeacher | CheckpointTeacher, frame_size: tuple[int, int]):
    width, height = teacher.image_size(frame_size)
    images = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    return teacher.label(TeacherRequest(np.arange(3), images, frame_size))


def test_it_labels_like_the_checkpoint_it_was_made_from(tmp_path: Path) -> None:
    student = random_student((64, 96))
    student.head.out.weight.data[:12] *= 20  # peaks …
    student.head.out.bias.data += 0.7  # … and fields that point down to the right: people
    save_student(student, tmp_path / "student.ckpt")
    write_export(student, tmp_path / "student.onnx")
    node = compose_config("online", ["teacher=onnx", f"teacher.path={tmp_path}/student.onnx"]).teacher
    exported, checkpoint = make_teacher(node, None), CheckpointTeacher(str(tmp_path / "student.ckpt"))
    assert exported.name == "onnx:student"
    assert exported.skeleton == checkpoint.skeleton
    assert exported.image_size((120, 60)) == checkpoint.image_size((120, 60)) == (64, 32)
    found, expected = ask(exported, (120, 60)), ask(checkpoint, (120, 60))
    assert found.keypoints.shape[1] > 0
    torch.testing.assert_close(found.keypoints, expected.keypoints, atol=1e-2, rtol=0)
    assert found.confidence_maps is not None
    assert expected.confidence_maps is not None
    assert found.confidence_maps.shape == (3, 12, 8, 16)
    torch.testing.assert_close(found.confidence_maps, expected.confidence_maps, atol=1e-5, rtol=0)


def test_frames_lie_as_the_file_says(tmp_path: Path) -> None:
    path = write_export(random_student((64, 96)), tmp_path / "student.onnx", resize_mode="squash")
    node = compose_config("online", ["teacher=onnx", f"teacher.path={path}"]).teacher
    teacher = build(node, without=["every", "corrections"])
    assert teacher.image_size((120, 60)) == (64, 96)
    labels = ask(teacher, (120, 60))
    assert labels.part_affinity_fields is not None
    assert labels.part_affinity_fields.shape == (3, 12, 2, 24, 16)


def test_a_request_without_images_is_a_mistake(tmp_path: Path) -> None:
    teacher = OnnxTeacher(str(write_export(random_student(), tmp_path / "student.onnx")))
    with pytest.raises(ValueError, match="needs images"):
        teacher.label(TeacherRequest(np.arange(2), None, (64, 64)))
