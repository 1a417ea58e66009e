"""The slot through which weights come: the newest wins, and whoever dies leaves a whole version."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pose_oad.live.mailbox import Mailbox
from pose_oad.live.serving import ServingStudent
from pose_oad.students import PoseStudent
from pose_oad.students.checkpoint import load_student
from pose_oad.tracking.errors import UserError
from tests.windows import small_student


def changed(student: PoseStudent, value: float) -> PoseStudent:
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(value)
        for name, buffer in student.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(value)
    return student


def test_a_version_that_was_not_read_is_replaced_by_a_newer_one(tmp_path: Path) -> None:
    mailbox, student = Mailbox(tmp_path), small_student()
    assert mailbox.read() is None
    assert [mailbox.publish(changed(student, 0.1), window) for window in (0, 1)] == [1, 2]
    published = mailbox.read()
    assert published is not None
    assert (published.generation, published.window) == (2, 1)
    wanted = student.state_dict()
    assert published.weights.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in published.weights.items())
    assert Mailbox(tmp_path).publish(student) == 3  # of whoever comes after a kill


def test_it_is_a_students_checkpoint(tmp_path: Path) -> None:
    mailbox, student = Mailbox(tmp_path), changed(small_student(), 0.1)
    mailbox.publish(student)
    read = load_student(mailbox.path)
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in read.state_dict().items())


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    mailbox.path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        mailbox.read()


def test_weights_change_when_they_are_swapped_and_not_before(tmp_path: Path) -> None:
    student, mailbox = small_student(), Mailbox(tmp_path)
    serving, frame = ServingStudent(student), torch.full((1, 32, 32, 3), 90, dtype=torch.uint8)
    first = serving.student.maps(frame)[0]
    mailbox.publish(changed(student, 0.05))
    for _ in range(2):
        published = mailbox.read()
        assert published is not None
        serving.offer(published)
        assert torch.equal(serving.student.maps(frame)[0], first) == (serving.version.generation == 0)
        assert serving.swap()
        assert not serving.swap()
        assert serving.version.generation == published.generation
        now = serving.student.maps(frame)[0]
        assert torch.equal(now, student.maps(frame)[0])
        assert not torch.equal(now, first)
        mailbox.publish(changed(student, 0.05))
    assert serving.swaps == 2


def test_one_goes_back_version_by_version(tmp_path: Path) -> None:
    student, mailbox = small_student(), Mailbox(tmp_path)
    frame, seen = torch.full((1, 32, 32, 3), 90, dtype=torch.uint8), []
    serving = ServingStudent(student)
    for _ in range(2):
        seen.append(serving.student.maps(frame)[0])
        mailbox.publish(changed(student, 0.05))
        published = mailbox.read()
        assert published is not None
        serving.offer(published)
        serving.swap()
    for wanted in reversed(seen):
        before = serving.before()
        assert before is not None
        serving.go_back_to(before, mailbox.go_back(before))
        serving.swap()
        assert torch.equal(serving.student.maps(frame)[0], wanted)
    assert serving.before() is None
    assert serving.version.generation == 4  # numbers never go back
    again = ServingStudent(student, mailbox.read())
    assert torch.equal(again.student.maps(frame)[0], seen[0])
    taken = mailbox.taken_back()
    assert taken is not None
    assert taken.generation == 4
    assert mailbox.taken_back() is None
