from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.coco.rehearsal import SourceFrames
from pose_oad.cli.command import build, compose_config
from pose_oad.online.batch import SOURCE
from pose_oad.students import PoseStudent, StudentConfig, build_student
from pose_oad.tracking.errors import UserError
from tests.coco import BODY, LEFT_SHOULDER, small_set, write_tree


@pytest.fixture(scope="module")
def student() -> PoseStudent:
    return build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(64, 64)))


def test_source_frames_are_seen_as_the_student_sees_frames(student: PoseStudent, tmp_path: Path) -> None:
    source = SourceFrames(student, str(write_tree(tmp_path, small_set())))
    batch = source.sample(3, np.random.default_rng(0))
    # Only one of the two images is labelled throughout; the other shows a crowd.
    assert batch.frames.shape == (3, 64, 64, 3)
    assert batch.origin.tolist() == [SOURCE] * 3
    shoulder = batch.keypoints[0, 0, BODY.index("left_shoulder")]
    x, y = (LEFT_SHOULDER[0] + 0.5) * 0.4, (LEFT_SHOULDER[1] + 0.5) * 0.4 + 12  # 160x100 letterboxed into 64x64
    torch.testing.assert_close(shoulder, torch.tensor([x, y, 1.0]))
    assert batch.frames[0, int(y), int(x), 0] > 120  # the red disc
    assert batch.frames[0, int(y), int(x), 1] < 90
    assert batch.known[0].sum() == 12


def test_a_missing_tree_is_named(student: PoseStudent, tmp_path: Path) -> None:
    node = compose_config("online", [f"source.root={tmp_path}/no"]).source
    with pytest.raises(UserError, match=r"^source\.root="):
        build(node, student=student)
    with pytest.raises(UserError, match=r"^source\.images=0: expected"):
        build(compose_config("online", ["source.images=0"]).source, student=student)


def test_nobody_labelled_is_refused(student: PoseStudent, tmp_path: Path) -> None:
    data = small_set()
    data["annotations"] = data["annotations"][1:]
    with pytest.raises(UserError, match=r"source\.split"):
        SourceFrames(student, str(write_tree(tmp_path, data)))
