from __future__ import annotations

import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pose_oad.cli import command as cli
from pose_oad.cli.command import compose_config
from pose_oad.cli.teachers import make_teacher
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.ensemble import EnsembleTeacher, similarity
from pose_oad.tracking.errors import RefusedError, UserError
from tests.conftest import ROOT
from tests.teachers import BODY, FixedTeacher, standing

ASKED = TeacherRequest(np.arange(1), None, (200, 100))
PAIR = Skeleton("pair", ("nose", "tail"), ((0, 1),))


def ensemble(*people: torch.Tensor, **options: Any) -> EnsembleTeacher:
    """Members of 12 joints that find given people, shape (people, joints, 3), in one frame."""
    return EnsembleTeacher({str(n): FixedTeacher(Labels(part[None])) for n, part in enumerate(people)}, **options)


def test_joints_lie_at_the_mean_by_confidence() -> None:
    sure, unsure = standing(50, confidence=0.9)[None], standing(54, confidence=0.3)[None]
    labels = ensemble(sure, unsure).label(ASKED)
    assert labels.keypoints.shape == (1, 1, 12, 3)
    assert torch.allclose(labels.keypoints[0, 0], standing(51, confidence=0.6), atol=1e-5)


def test_a_joint_that_one_member_misses_is_the_others_and_less_sure() -> None:
    one, other = standing(50, confidence=0.8)[None], standing(50, confidence=0.6)[None]
    other[0, 4] = 0.0
    [[person]] = ensemble(one, other).label(ASKED).keypoints
    assert person[4].tolist() == pytest.approx([*one[0, 4, :2].tolist(), 0.4])
    assert person[5, 2] == pytest.approx(0.7)


def test_people_are_matched_whatever_their_order() -> None:
    left, right, lonely = standing(50), standing(120), standing(180, confidence=0.9)
    labels = ensemble(torch.stack([left, right]), torch.stack([right, lonely, left])).label(ASKED)
    assert labels.keypoints.shape == (1, 3, 12, 3)
    assert sorted(labels.keypoints[0, :2, 0, 0].tolist()) == [55, 125]
    assert torch.allclose(labels.keypoints[0, 2], standing(180, confidence=0.45))
    agreed = ensemble(torch.stack([left, right]), torch.stack([right, lonely, left]), agree=2).label(ASKED)
    assert agreed.keypoints.shape == (1, 2, 12, 3)
    assert agreed.counts == {"labels_rejected/not_agreed": 1}


def test_three_members_meet() -> None:
    labels = ensemble(standing(50)[None], torch.zeros(0, 12, 3), standing(52)[None]).label(ASKED)
    assert torch.allclose(labels.keypoints[0, 0], standing(51, confidence=2 / 3))


def test_similarity_is_coco_s() -> None:
    """Two people 3 px apart: boxes of 10 x 60 px; one joint in common, then none."""
    one, other = standing(50)[None], standing(53)[None]
    expected = [math.exp(-9 / (2 * 600 * (2 * sigma) ** 2)) for sigma in BODY.sigmas]
    assert float(similarity(one, other, BODY)) == pytest.approx(sum(expected) / 12)
    other[0, 1:] = 0.0
    # The other's box is empty now: the mean area is 300 px².
    assert float(similarity(one, other, BODY)) == pytest.approx(math.exp(-9 / (2 * 300 * (2 * BODY.sigmas[0]) ** 2)))
    one[0, 0] = 0.0
    assert float(similarity(one, other, BODY)) == 0
    assert similarity(one, other[:0], BODY).shape == (1, 0)


def test_members_of_other_joint_sets_count_for_the_joints_they_have() -> None:
    skeleton = get_skeleton("coco-18")
    second = torch.zeros(1, 1, 18, 3)
    for joint in BODY.joints:
        second[0, 0, skeleton.index(joint)] = standing(52)[BODY.index(joint)]
    second[0, 0, skeleton.index("neck")] = torch.tensor([51.0, 19.0, 1.0])
    members = {"a": FixedTeacher(Labels(standing()[None, None])), "b": FixedTeacher(Labels(second), skeleton)}
    first = EnsembleTeacher(members).label(ASKED)
    assert torch.allclose(first.keypoints[0, 0], standing(51))
    reverse = EnsembleTeacher(dict(reversed(members.items())))
    assert reverse.skeleton == skeleton
    [[person]] = reverse.label(ASKED).keypoints
    # Without a neck of its own the first has the middle of the shoulders: (50, 20).
    assert person[skeleton.index("neck")].tolist() == pytest.approx([50.5, 19.5, 1])
    assert not person[skeleton.index("nose")].any()


def test_members_that_could_not_label_a_frame_have_no_part_in_it() -> None:
    def member(people: torch.Tensor, *unusable: bool) -> FixedTeacher:
        return FixedTeacher(Labels(people, unusable=torch.tensor(unusable), counts={"labels_missing": sum(unusable)}))

    seen = torch.stack([standing(), torch.zeros(12, 3), torch.zeros(12, 3)]).unsqueeze(1)
    teacher = EnsembleTeacher(
        {"a": member(seen, False, False, False), "b": member(torch.zeros(3, 0, 12, 3), True, True, False)}
    )
    labels = teacher.label(TeacherRequest(np.arange(3), None, (200, 100)))
    assert torch.equal(labels.keypoints[0, 0], standing())
    assert labels.unusable is not None
    assert labels.unusable.tolist() == [False, True, False]
    assert labels.counts == {"labels_missing": 2, "labels_rejected/not_agreed": 0}


def test_each_member_gets_its_own_image_size_and_truth() -> None:
    nobody = Labels(torch.zeros(1, 0, 12, 3))
    wide, tall = FixedTeacher(nobody, size=(8, 2)), FixedTeacher(nobody, size=(4, 4), uses_truth=True)
    blind = FixedTeacher(nobody)
    teacher = EnsembleTeacher({"wide": wide, "tall": tall, "blind": blind})
    assert teacher.image_size((200, 100)) == (8, 4)
    assert teacher.uses_truth
    images = np.repeat(np.arange(0, 240, 60, dtype=np.uint8), 8).reshape(1, 4, 8, 1).repeat(3, -1)
    teacher.label(TeacherRequest(np.arange(1), images, (200, 100), torch.zeros(1, 1, 12, 3)))
    shown = wide.requests[0].images
    assert shown is not None
    assert shown[0, :, 0, 0].tolist() == [30, 150]  # the mean of rows 0 and 60, 120 and 180
    assert tall.requests[0].images.shape == (1, 4, 4, 3)  # type: ignore[union-attr]
    assert blind.requests[0].images is None
    assert [member.requests[0].truth is None for member in (wide, tall, blind)] == [True, False, True]
    assert EnsembleTeacher({"a": blind, "b": blind}).image_size((200, 100)) is None


def test_maps_are_averaged_where_all_have_them() -> None:
    backwards = Skeleton("riap", ("tail", "nose"), ((0, 1),))
    people = torch.zeros(1, 0, 2, 3)
    first = Labels(people, torch.tensor([[[[1.0, 1]], [[3, 3]]]]), torch.full((1, 1, 2, 1, 2), 2.0))
    second = Labels(people, torch.tensor([[[[5.0]], [[7]]]]), torch.full((1, 1, 2, 1, 1), 4.0))
    labels = EnsembleTeacher({"a": FixedTeacher(first, PAIR), "b": FixedTeacher(second, backwards)}).label(ASKED)
    assert labels.confidence_maps is not None
    assert labels.part_affinity_fields is not None
    assert labels.confidence_maps.tolist() == [[[[4, 4]], [[4, 4]]]]  # nose: 1 and 7; tail: 3 and 5
    assert labels.part_affinity_fields.unique().tolist() == [-1]  # 2, and 4 the other way
    without = EnsembleTeacher({"a": FixedTeacher(first, PAIR), "b": FixedTeacher(Labels(people), PAIR)}).label(ASKED)
    assert (without.confidence_maps, without.part_affinity_fields) == (None, None)


def test_no_frame_is_legal() -> None:
    teacher = EnsembleTeacher({name: FixedTeacher(Labels(torch.zeros(0, 0, 12, 3))) for name in "ab"})
    assert teacher.label(TeacherRequest(np.arange(0), None, (200, 100))).keypoints.shape == (0, 0, 12, 3)


def test_members_are_written_on_the_command_line() -> None:
    overrides = [
        "teacher=ensemble", "teacher.agree=2",
        "+teacher@teacher.members.good=truth",
        "+teacher@teacher.members.bad=truth", "teacher.members.bad.misses=1.0",
    ]  # fmt: skip
    teacher = make_teacher(compose_config("online", overrides).teacher, BODY)
    assert isinstance(teacher, EnsembleTeacher)
    assert (teacher.name, teacher.uses_truth) == ("truth+truth", True)
    request = TeacherRequest(np.arange(1), None, (200, 100), standing()[None, None])
    labels = teacher.label(request)
    assert labels.keypoints.shape == (1, 0, 12, 3)
    assert labels.counts == {"labels_rejected/not_agreed": 1}


def test_bad_values_are_refused() -> None:
    one = {"a": FixedTeacher(Labels(torch.zeros(0, 0, 12, 3)))}
    with pytest.raises(RefusedError, match=r"members=\['a'\]: .*two or more"):
        EnsembleTeacher(one)
    two = one | {"b": FixedTeacher(Labels(torch.zeros(0, 0, 2, 3)), PAIR)}
    with pytest.raises(UserError, match="joint in common"):
        EnsembleTeacher(two)
    with pytest.raises(RefusedError, match=r"agree=3: .*at most 2"):
        EnsembleTeacher({"a": one["a"], "b": one["a"]}, agree=3)
    for override, message in (
        ("+teacher.members.a=onnx", r"teacher\.members\.a=onnx: .*\+teacher@teacher\.members\.a"),
        ("+teacher@teacher.members.a=onnx", r"teacher\.members\.a\.path=None"),
        ("teacher.members=5", r"teacher\.members=5: "),
    ):
        with pytest.raises(UserError, match=message):
            make_teacher(compose_config("online", ["teacher=ensemble", override]).teacher, BODY)


def test_members_are_written_in_a_file_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [written] = re.findall(
        r"```yaml\n# conf/teacher/mine\.yaml\n(.*?)```", (ROOT / "docs" / "teachers.md").read_text(), re.DOTALL
    )
    shutil.copytree(cli.CONF, tmp_path / "conf")
    (tmp_path / "conf" / "teacher" / "mine.yaml").write_text(written)
    monkeypatch.setattr(cli, "CONF", tmp_path / "conf")
    node = compose_config("online", ["teacher=mine", "teacher.members.net.height=256"]).teacher
    assert list(node.members) == ["net", "files"]
    assert (node.members.net.path, node.members.net.height) == ("teacher.onnx", 256)
    assert node.members.files._target_.endswith("OpenPoseJsonTeacher")
    with pytest.raises(UserError, match=r"teacher\.members\.net: teacher\.path=teacher\.onnx"):
        make_teacher(node, BODY)
