"""One person's keypoints from maps of several."""

from __future__ import annotations

import torch

from pose_oad.poses.maps import encode
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import PoseStudent, StudentConfig, build_student
from tests.teachers import standing

BODY = get_skeleton("body-12")


def student_seeing(people: torch.Tensor, strength: torch.Tensor) -> PoseStudent:
    """A student that sees given people, shape (people, 12, 3), joint by joint as sure as ``strength`` says."""
    student = build_student(StudentConfig("s", "mobilenetv4_conv_small_050", input_size=(128, 128), sigma=0.05))
    parts = [encode(p[None, None], BODY, input_size=(128, 128), map_size=(32, 32), sigma=0.05) for p in people]
    maps = torch.stack([s[:, None, None] * p.confidence_maps[0] for s, p in zip(strength, parts, strict=True)]).amax(0)
    fields = sum(part.part_affinity_fields for part in parts)
    student.forward = lambda images: (maps.expand(len(images), -1, -1, -1), fields.expand(len(images), -1, -1, -1, -1))
    return student


def test_a_grouped_person_is_one_person_and_an_argmax_skeleton_may_be_two() -> None:
    people = torch.stack([standing(30.0, 20.0), standing(94.0, 20.0)])
    strength = torch.full((2, 12), 0.85)
    strength[1, :5] = 0.9  # the second person is surer in five joints,
    strength[1, 5:] = 0.3
    people[0, 5, 2] = 0.0  # and the first has no right wrist
    student = student_seeing(people, strength)
    frames = torch.zeros(2, 128, 128, 3, dtype=torch.uint8)

    mixed = student.keypoints(frames).single
    assert (mixed[0, :5, 0] > 64).all()
    assert (mixed[0, 6:, 0] < 64).all()
    student.decoding = "grouped"
    [found, again] = student.keypoints(frames).single
    assert torch.equal(found, again)
    seen = people[0, :, 2] > 0
    assert torch.equal(found[:, 2] > 0, seen)
    assert not found[5].any()
    assert (found[seen, :2] - people[0, seen, :2]).norm(dim=-1).max() < 2


def test_grouping_finds_nobody_in_empty_maps_and_single_joints_in_poor_ones() -> None:
    student = student_seeing(standing()[None], torch.zeros(1, 12))
    student.decoding = "grouped"
    frame = torch.zeros(1, 128, 128, 3, dtype=torch.uint8)
    assert not student.keypoints(frame).single.any()
    student = student_seeing(standing()[None], (torch.arange(12) == 4).float()[None])
    student.decoding = "grouped"
    assert (student.keypoints(frame).single[0, :, 2] > 0).nonzero().flatten().tolist() == [4]
