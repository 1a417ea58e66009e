from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_oad.cli.command import compose_config
from pose_oad.cli.teachers import make_teacher
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.smoothed import SmoothedTeacher, smooth
from pose_oad.teachers.truth import TruthTeacher
from pose_oad.tracking.errors import UserError
from tests.teachers import BODY, FixedTeacher, standing


def walk(jitter: list[float], speed: float = 3.0) -> torch.Tensor:
    """One joint that walks along x, off by some px, shape (frames, 1, 3)."""
    return torch.tensor([[[speed * t + off, 7.0, 1.0]] for t, off in enumerate(jitter)])


def test_steady_motion_stays_and_jitter_goes() -> None:
    times = torch.arange(6.0)
    assert torch.allclose(smooth(walk([0.0] * 6), times, 1.0), walk([0.0] * 6), atol=1e-4)
    jitter = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]
    left = smooth(walk(jitter), times, 2.0) - walk([0.0] * 6)
    assert left[..., 0].abs().max() < 0.5
    # the value by hand: three places (0, 0, 3) at times -1, 0, 1, as likely as exp(-1/2) : 1 : exp(-1/2)
    places = torch.tensor([[[0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]], [[3.0, 0.0, 1.0]]])
    near = float(np.exp(-0.5))
    assert smooth(places, torch.arange(3.0), 1.0)[1, 0, 0].item() == pytest.approx(3 * near / (1 + 2 * near), rel=1e-5)


def test_what_is_far_away_or_not_found_has_no_part() -> None:
    places = walk([0.0, 9.0, 0.0])
    assert torch.allclose(smooth(places, torch.tensor([0.0, 100.0, 200.0]), 2.0), places)
    places[1, 0] = 0
    assert torch.equal(smooth(places, torch.arange(3.0), 2.0)[1], places[1])
    assert smooth(places, torch.arange(3.0), 2.0)[0, 0, 0].item() == pytest.approx(0, abs=1e-4)


def test_people_are_followed_whatever_their_place_among_the_labels() -> None:
    """Two stand still and change places in the list; one is away in the third frame."""
    left, right, nobody = standing(50), standing(200), torch.zeros(12, 3)
    keypoints = torch.stack(
        [torch.stack(two) for two in ((left, right), (right, left), (right, nobody), (left, right))]
    )
    teacher = SmoothedTeacher(FixedTeacher(Labels(keypoints)), frames=2.0)
    assert teacher._tracks(keypoints) == [[(0, 0), (1, 1)], [(0, 1), (1, 0), (2, 0), (3, 1)], [(3, 0)]]
    labels = teacher.label(TeacherRequest(np.arange(4), None, (300, 200)))
    assert torch.allclose(labels.keypoints, keypoints, atol=1e-3)
    empty = SmoothedTeacher(FixedTeacher(Labels(torch.zeros(2, 0, 12, 3))))
    assert empty.label(TeacherRequest(np.arange(2), None, (300, 200))).keypoints.shape == (2, 0, 12, 3)


def test_noise_of_a_teacher_shrinks() -> None:
    truth = torch.stack([standing(50 + 2 * t) for t in range(30)]).unsqueeze(1)
    request = TeacherRequest(np.arange(30), None, (300, 200), truth)
    noisy = TruthTeacher(BODY, noise=0.005)
    errors = [
        (t.label(request).keypoints - truth)[..., :2].norm(dim=-1).mean() for t in (noisy, SmoothedTeacher(noisy))
    ]
    assert errors[1] < 0.7 * errors[0]


def test_the_other_teacher_is_a_node_of_its_own(tmp_path: Path) -> None:
    node = compose_config("online", ["teacher=smoothed", "+teacher@teacher.of=truth", "teacher.frames=3"]).teacher
    teacher = make_teacher(node, BODY)
    assert isinstance(teacher, SmoothedTeacher)
    assert (teacher.name, teacher.uses_truth, teacher.skeleton) == ("smoothed:truth", True, BODY)
    with pytest.raises(UserError, match=r"teacher\.of=None"):
        make_teacher(compose_config("online", ["teacher=smoothed"]).teacher, BODY)
