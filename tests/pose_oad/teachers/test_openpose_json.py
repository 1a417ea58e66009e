from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch

from pose_oad.cli.command import compose_config
from pose_oad.cli.online import main
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.predict.keypoint_files import make_writer
from pose_oad.predict.poses import FramePoses
from pose_oad.teachers.base import Origin, TeacherRequest
from pose_oad.teachers.openpose_json import OpenPoseJsonTeacher
from pose_oad.tracking.errors import RefusedError, UserError
from tests.media import counting_frames, write_video

SIZE = (101, 51)


def person(joints: int = 25, x: float = 10.0, confidence: float = 0.5) -> dict:
    """A person whose joint number j lies at (x + j, 2 j)."""
    numbers = [value for j in range(joints) for value in (x + j, 2.0 * j, confidence)]
    return {"person_id": [-1], "pose_keypoints_2d": numbers}


def write(folder: Path, stem: str, *people: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}_keypoints.json"
    file.write_text(json.dumps({"version": 1.3, "people": list(people)}))
    return file


def ask(*numbers: int, clip: str = "my", names: tuple[str, ...] = (), path: Path | None = None) -> TeacherRequest:
    path = path or Path("images" if names else f"{clip}.mp4")
    origin = Origin(clip, path, np.array(numbers), names)
    return TeacherRequest(np.array(numbers) + 1000, None, SIZE, None, origin)


def test_frames_are_found_by_number_and_people_ranked(tmp_path: Path) -> None:
    write(tmp_path, "my_000000000000")
    write(tmp_path, "my_000000000001", person(x=1, confidence=0.2), person(x=3, confidence=0.9))
    write(tmp_path, "my_000000000012", person(x=5))
    teacher = OpenPoseJsonTeacher(str(tmp_path))
    assert teacher.skeleton.name == "body-25"
    assert teacher.image_size(SIZE) is None
    labels = teacher.label(ask(12, 0, 1))
    assert labels.keypoints.shape == (3, 2, 25, 3)
    assert labels.keypoints[0, 0, 4].tolist() == [9, 8, 0.5]  # px are passed on: OpenPose's are ours
    assert not labels.keypoints[0, 1].any()
    assert not labels.keypoints[1].any()
    assert labels.keypoints[2, :, 0, 0].tolist() == [3, 1]
    assert (labels.counts, labels.unusable) == ({"labels_missing": 0}, None)
    assert teacher.label(ask()).keypoints.shape == (0, 0, 25, 3)


def test_a_joint_that_was_not_found_has_no_place(tmp_path: Path) -> None:
    someone = person(18)
    someone["pose_keypoints_2d"][3:6] = [0, 0, 0]
    write(tmp_path, "my_0", someone)
    teacher = OpenPoseJsonTeacher(str(tmp_path))
    assert teacher.skeleton.name == "coco-18"
    [joints] = teacher.label(ask(0)).keypoints[0]
    assert joints[1].tolist() == [0, 0, 0]
    assert (joints[:, 2] > 0).sum() == 17


@pytest.mark.parametrize(("scale", "corner", "missing"), [(3, (1.0, 1.0), 0.0), (4, (1.0, 1.0), -1.0)])
def test_normalised_coordinates_are_turned_back(
    scale: int, corner: tuple[float, float], missing: float, tmp_path: Path
) -> None:
    """OpenPose divides by the frame's sides less 1: 1 is 100 px of 101."""
    half = 0.5 if scale == 3 else 0.0
    numbers = [*corner, 1.0, half, half, 0.5, missing, missing, 0.0] + [0.0] * 66
    write(tmp_path, "my_0", {"pose_keypoints_2d": numbers})
    found = OpenPoseJsonTeacher(str(tmp_path), keypoint_scale=scale).label(ask(0)).keypoints[0, 0]
    assert found[:3].tolist() == [[100, 50, 1], [50, 25, 0.5], [0, 0, 0]]


def test_images_are_found_by_name(tmp_path: Path) -> None:
    write(tmp_path, "b", person(x=2))
    write(tmp_path, "a", person(x=7))
    teacher = OpenPoseJsonTeacher(str(tmp_path))
    labels = teacher.label(ask(0, 1, names=("a.jpg", "b.png")))
    assert labels.keypoints[:, 0, 0, 0].tolist() == [7, 2]
    with pytest.raises(UserError, match=r"<image>_keypoints\.json .*images and others"):
        teacher.label(ask(0, names=("a.jpg",), path=Path("others")))


def test_several_videos_have_folders_or_prefixes_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "S1" / "Walking 1.55", "anything_000", person(x=1))
    write(tmp_path / "S5" / "Walking 1.55", "anything_000", person(x=2))
    write(tmp_path, "left_0", person(x=3))
    write(tmp_path, "right_0", person(x=4))
    teacher = OpenPoseJsonTeacher(str(tmp_path))
    found = [
        float(teacher.label(ask(0, clip=clip, path=Path(f"{folder}/{Path(clip).name}.mp4"))).keypoints[0, 0, 0, 0])
        for clip, folder in (("S1/Walking 1.55", "a"), ("S5/Walking 1.55", "b"), ("left", "c"), ("right", "c"))
    ]
    assert found == [1, 2, 3, 4]
    with pytest.raises(UserError, match=r"expected middle_<number>_keypoints\.json"):
        teacher.label(ask(0, clip="middle"))


def test_two_videos_never_share_their_files(tmp_path: Path) -> None:
    write(tmp_path, "my_0", person())
    teacher = OpenPoseJsonTeacher(str(tmp_path))
    teacher.label(ask(0, clip="first"))  # all files begin alike: they are meant
    with pytest.raises(UserError, match=r"my_<number>_keypoints.json .*first.mp4 and second.mp4"):
        teacher.label(ask(0, clip="second"))


def test_a_frame_without_a_file_is_refused_skipped_or_background(tmp_path: Path) -> None:
    write(tmp_path, "my_1", person())
    with pytest.raises(UserError, match=r"my: 1 of 2 frames .*teacher.missing_labels=skip"):
        OpenPoseJsonTeacher(str(tmp_path)).label(ask(1, 2))
    skipped = OpenPoseJsonTeacher(str(tmp_path), missing_labels="skip").label(ask(1, 2))
    assert skipped.unusable is not None
    assert (skipped.unusable.tolist(), skipped.counts) == ([False, True], {"labels_missing": 1})
    empty = OpenPoseJsonTeacher(str(tmp_path), missing_labels="nobody", first=1).label(ask(0, 1))
    assert (empty.unusable, empty.counts) == (None, {"labels_missing": 1})
    assert (empty.keypoints[..., 2] > 0).any(-1).squeeze(1).tolist() == [True, False]


def test_what_predict_writes_comes_back(tmp_path: Path) -> None:
    skeleton = get_skeleton("coco-18")
    people = torch.rand(2, 18, 3).mul(50).round(decimals=2)
    people[..., 2] /= 50
    with make_writer("openpose", tmp_path, tmp_path, skeleton, (), skeleton.name, "my") as write:
        write(3, FramePoses(people, torch.ones(2)))
    read = OpenPoseJsonTeacher(str(tmp_path)).label(ask(3)).keypoints[0]
    order = people[..., 2].mean(-1).argsort(descending=True)
    assert torch.allclose(read, people[order], atol=6e-4)


BROKEN: dict[str, bytes] = {
    "truncated": json.dumps({"people": [person()]}).encode()[:-40],
    "empty": b"",
    "not text": b"\xff\xfe\x00\x01" * 8,
    "a list": b"[]",
    "no people": b'{"version": 1.3}',
    "people of another kind": b'{"people": [3]}',
    "a person without joints": b'{"people": [{"person_id": [-1]}]}',
    "joints of another kind": b'{"people": [{"pose_keypoints_2d": "abc"}]}',
    "text among the numbers": json.dumps({"people": [{"pose_keypoints_2d": ["1"] * 75}]}).encode(),
    "not a number": json.dumps({"people": [{"pose_keypoints_2d": [float("nan")] * 75}]}).encode(),
    "beyond every frame": json.dumps({"people": [{"pose_keypoints_2d": [10**400] * 75}]}).encode(),
    "too deep": b"[" * 100_000,
    "another joint set": json.dumps({"people": [person(18)]}).encode(),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    write(tmp_path, "my_0", person())
    write(tmp_path, "my_1").write_bytes(content)
    with pytest.raises(UserError, match=r"my_1_keypoints\.json"):
        OpenPoseJsonTeacher(str(tmp_path)).label(ask(1))


def test_bad_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"folder=.*nowhere"):
        OpenPoseJsonTeacher(str(tmp_path / "nowhere"))
    with pytest.raises(RefusedError, match=r"folder=.*<name>_keypoints\.json"):
        OpenPoseJsonTeacher(str(tmp_path))
    write(tmp_path, "my_0")
    with pytest.raises(UserError, match=r"teacher\.skeleton=None: "):
        OpenPoseJsonTeacher(str(tmp_path))
    assert OpenPoseJsonTeacher(str(tmp_path), skeleton="coco-18").label(ask(0)).keypoints.shape == (1, 0, 18, 3)
    write(tmp_path, "my_1", person(21))
    with pytest.raises(UserError, match=r"my_1_keypoints.json: .*63 .*expected 75"):
        OpenPoseJsonTeacher(str(tmp_path))
    with pytest.raises(UserError, match="skeleton=body-26"):
        OpenPoseJsonTeacher(str(tmp_path), skeleton="body-26")


def test_another_scale_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "my_0", {"pose_keypoints_2d": [0.5, 0.25, 1.0] * 25})
    with pytest.raises(UserError, match=r"expected px, or teacher\.keypoint_scale=3 or 4"):
        OpenPoseJsonTeacher(str(tmp_path)).label(ask(0))
    write(tmp_path, "my_0", person())
    with pytest.raises(UserError, match=r"48 .*teacher.keypoint_scale=3"):
        OpenPoseJsonTeacher(str(tmp_path), keypoint_scale=3).label(ask(0))


def test_a_camera_has_no_labels_beforehand(tmp_path: Path) -> None:
    write(tmp_path, "my_0", person())
    with pytest.raises(UserError, match="recorded frames only"):
        OpenPoseJsonTeacher(str(tmp_path)).label(TeacherRequest(np.array([0]), None, SIZE))


@pytest.mark.slow
def test_a_stream_is_played_with_labels_made_elsewhere(
    student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 frames of 96 px in four windows, all labelled; one person, whose last joints lie outside the first frames."""
    write_video(tmp_path / "my.mp4", counting_frames(40, 96), rate=10)
    for number in range(39):  # the last frame has no file
        write(tmp_path / "json", f"my_{number:012d}", person(25, x=90 - number))
    monkeypatch.chdir(tmp_path)
    overrides = [
        "stream=video", "stream.path=my.mp4", "teacher=openpose_json", "teacher.folder=json",
        "teacher.missing_labels=skip", "label_filter=default", "teacher.label_filter.limb_ratio=null",
        f"checkpoint={student_checkpoint}",
        "student.input_size=[64,64]", "window.seconds=1", "framework=paper", "training.epochs=1", "strategy=all",
        "metric.teacher_every=39", f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db", "trainer.accelerator=cpu",
    ]  # fmt: skip
    summary = main(compose_config("online", overrides))
    assert summary["teacher_calls"] == 40
    assert summary["labels_missing"] == 1
    # Joint j of frame n lies at x = 90 - n + j, outside where that is beyond 96: 25 joints, 18 - n of them outside.
    assert summary["labels_rejected/outside_frame"] == sum(18 - n for n in range(18))
    assert summary["labels_rejected/few_joints"] == 0
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    [logged] = client.search_runs([client.get_experiment_by_name("online").experiment_id])
    history = client.get_metric_history(logged.info.run_id, "labels_rejected/outside_frame")
    assert [point.value for point in history] == [
        sum(18 - n for n in range(10)),
        sum(18 - n for n in range(10, 18)),
        0,
        0,
    ]
