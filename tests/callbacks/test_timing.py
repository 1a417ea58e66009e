"""What the wall clock counts."""

from __future__ import annotations

import time

import pytest
import torch

from callbacks.timing import Timing, peak_memory, peak_resident
from pose_oad.online.distillation import OnlineDistillation
from pose_oad.online.learner import TrainingOptions
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import StudentConfig, build_student
from pose_oad.teachers.truth import TruthTeacher
from tests.windows import make_window

BODY = get_skeleton("body-12")


def test_measuring_is_no_part_of_the_wall_clock() -> None:
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    module = OnlineDistillation.of(student, TruthTeacher(BODY), TrainingOptions())
    timing, window = Timing(), make_window(4)
    timing.on_train_epoch_start(None, module)  # type: ignore[arg-type]
    timing.on_train_batch_start(None, module, window, 0)  # type: ignore[arg-type]
    with window.phase("evaluate"):  # where a teacher labels frames only to measure
        time.sleep(0.3)
    with window.phase("label"):
        time.sleep(0.1)
    timing.on_train_batch_end(None, module, None, window, 0)  # type: ignore[arg-type]
    with window.phase("retention"):
        time.sleep(0.3)
    timing.on_train_end(None, module)  # type: ignore[arg-type]
    assert window.metrics["wall_clock_s"] == pytest.approx(0.1, abs=0.08)
    assert window.metrics["frames_per_second"] == pytest.approx(4 / 0.1, rel=0.45)
    assert timing.wall_clock == pytest.approx(0.1, abs=0.08)
    assert timing.totals["evaluate"] == pytest.approx(0.3, abs=0.08)


def test_memory_of_a_run_on_the_processor_is_not_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: 7 * 2**20)
    assert peak_memory(torch.device("cpu")) == pytest.approx(peak_resident(), rel=0.01)
    assert peak_memory(torch.device("cuda", 0)) == 7
