"""Every student of ``conf/student`` as a network."""

from __future__ import annotations

import pytest
import torch

from pose_oad.cli.command import CONF, compose_config, plain
from pose_oad.students import StudentConfig, build_student

NAMES = sorted(path.stem for path in (CONF / "student").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_student_maps_a_frame_at_a_quarter_of_its_input(name: str) -> None:
    config = StudentConfig.from_dict(plain(compose_config("online", [f"student={name}"]).student))
    assert config.name == name
    student = build_student(config).eval()
    width, height = config.input_size
    with torch.inference_mode():
        maps, fields = student(student.normalise(torch.zeros(1, height, width, 3, dtype=torch.uint8)))
    joints, limbs = (18, 21) if config.skeleton == "trt-pose-18" else (12, 12)
    assert maps.shape == (1, joints, height // 4, width // 4)
    assert fields.shape == (1, limbs, 2, height // 4, width // 4)


def test_all_of_the_small_hrnet_learns() -> None:
    config = plain(compose_config("online", ["student=hrnet_small", "student.input_size=[64,64]"]).student)
    student = build_student(StudentConfig.from_dict(config))
    maps, fields = student(torch.randn(2, 3, 64, 64))
    (maps.square().mean() + fields.square().mean()).backward()
    assert [name for name, weight in student.named_parameters() if weight.grad is None] == []
