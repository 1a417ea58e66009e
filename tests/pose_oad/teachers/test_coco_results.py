from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.predict.keypoint_files import make_writer, write_image_list
from pose_oad.predict.poses import FramePoses
from pose_oad.teachers.base import Origin, TeacherRequest
from pose_oad.teachers.coco_results import CocoResultsTeacher
from pose_oad.tracking.errors import RefusedError, UserError


def entry(image_id: Any = 0, x: float = 10.0, visibility: float = 0.5, score: Any = 1.0, joints: int = 17) -> dict:
    """An entry whose joint number j lies at (x + j, 2 j)."""
    numbers = [value for j in range(joints) for value in (x + j, 2.0 * j, visibility)]
    return {"image_id": image_id, "category_id": 1, "keypoints": numbers, "score": score}


def write(path: Path, *entries: dict) -> str:
    path.write_text(json.dumps(entries))
    return str(path)


def ask(*numbers: int, clip: str = "my", names: tuple[str, ...] = ()) -> TeacherRequest:
    origin = Origin(clip, Path("images" if names else f"{clip}.mp4"), np.array(numbers), names)
    return TeacherRequest(np.array(numbers), None, (640, 480), None, origin)


def test_entries_are_found_by_frame_and_ranked_by_score(tmp_path: Path) -> None:
    teacher = CocoResultsTeacher(
        write(tmp_path / "r.json", entry(5, 1, score=0.1), entry(5, 3, score=0.9), entry(7)), first=2
    )
    labels = teacher.label(ask(5, 3, 4))
    assert labels.keypoints.shape == (3, 2, 17, 3)
    assert labels.keypoints[0, 0, 2].tolist() == [12.5, 4.5, 0.5]  # half a px from COCO's pixel index to ours
    assert labels.keypoints[1, :, 0, 0].tolist() == [3.5, 1.5]
    assert not labels.keypoints[2].any()
    assert (labels.counts, labels.unusable) == ({"labels_missing": 1}, None)


def test_visibility_flags_are_confidences(tmp_path: Path) -> None:
    someone = entry(0)
    someone["keypoints"][2], someone["keypoints"][5], someone["keypoints"][8] = 2, 0, -0.1
    [found] = CocoResultsTeacher(write(tmp_path / "r.json", someone)).label(ask(0)).keypoints[0]
    assert found[:4].tolist() == [[10.5, 0.5, 1], [0, 0, 0], [0, 0, 0], [13.5, 6.5, 0.5]]


def test_frames_without_an_entry_are_skipped_or_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", entry(0))
    skipped = CocoResultsTeacher(path, missing_labels="skip").label(ask(0, 1))
    assert skipped.unusable is not None
    assert skipped.unusable.tolist() == [False, True]
    with pytest.raises(UserError, match="1 of 2 frames"):
        CocoResultsTeacher(path, missing_labels="refuse").label(ask(0, 1))


@pytest.mark.parametrize("whole", [True, False], ids=["annotations", "list"])
def test_images_are_found_by_name(whole: bool, tmp_path: Path) -> None:
    images: Any = [{"id": 139, "file_name": "val2017/a.jpg"}, {"id": 7, "file_name": "b.jpg"}]
    (tmp_path / "ids.json").write_text(json.dumps({"images": images} if whole else images))
    path = write(tmp_path / "r.json", entry(139, 1), entry(7, 2))
    teacher = CocoResultsTeacher(path, str(tmp_path / "ids.json"))
    assert teacher.label(ask(0, 1, names=("b.jpg", "a.jpg"))).keypoints[:, 0, 0, 0].tolist() == [2.5, 1.5]
    with pytest.raises(UserError, match=r"teacher\.annotations: .*c\.jpg"):
        teacher.label(ask(2, names=("c.jpg",)))
    with pytest.raises(UserError, match=r"teacher\.annotations: expected null, .*my"):
        teacher.label(ask(2))
    with pytest.raises(UserError, match=r"teacher\.annotations=None"):
        CocoResultsTeacher(path).label(ask(0, names=("b.jpg",)))


def test_of_two_files_called_like_the_video_neither_is_taken(tmp_path: Path) -> None:
    for subject in ("S1", "S9"):
        (tmp_path / subject).mkdir()
        write(tmp_path / subject / "my.json", entry(0))
    with pytest.raises(UserError, match=r"S1/my\.json and .*S9/my\.json"):
        CocoResultsTeacher(str(tmp_path)).label(ask(0))
    assert CocoResultsTeacher(str(tmp_path)).label(ask(0, clip="S9/my")).keypoints.shape == (1, 1, 17, 3)


def test_several_videos_have_a_file_each(tmp_path: Path) -> None:
    write(tmp_path / "left.json", entry(0, 1))
    write(tmp_path / "right.json", entry(0, 2))
    teacher = CocoResultsTeacher(str(tmp_path))
    found = [float(teacher.label(ask(0, clip=clip)).keypoints[0, 0, 0, 0]) for clip in ("left", "right", "left")]
    assert found == [1.5, 2.5, 1.5]
    with pytest.raises(UserError, match=r"no middle\.json for middle"):
        teacher.label(ask(0, clip="middle"))
    single = CocoResultsTeacher(str(tmp_path / "left.json"))
    single.label(ask(0, clip="left"))
    with pytest.raises(UserError, match=r"left.json .*left.mp4 and right.mp4"):
        single.label(ask(0, clip="right"))


@pytest.mark.parametrize("folder", [False, True], ids=["video", "images"])
def test_what_predict_writes_comes_back(folder: bool, tmp_path: Path) -> None:
    skeleton = get_skeleton("coco-17")
    # A confidence that is rounded to 0 would be a joint not found.
    frames = [torch.rand(people, 17, 3).clamp(min=0.01) + torch.tensor([100.0, 50.0, 0.0]) for people in (1, 0, 3)]
    images = [Path(name) for name in ("b1.jpg", "b2.jpg", "b10.jpg")] if folder else []
    with make_writer("coco", tmp_path / "poses.json", tmp_path, skeleton, images if folder else (), "", "") as write:
        for number, people in enumerate(frames):
            write(number, FramePoses(people, torch.linspace(0.9, 0.5, len(people))))
    annotations = None
    if folder:
        annotations = str(tmp_path / "poses.images.json")
        write_image_list(Path(annotations), images)
    teacher = CocoResultsTeacher(str(tmp_path / "poses.json"), annotations)
    read = teacher.label(ask(0, 1, 2, names=tuple(image.name for image in images))).keypoints
    for number, people in enumerate(frames):
        assert torch.allclose(read[number, : len(people)], people, atol=6e-4)
        assert not read[number, len(people) :].any()


BROKEN: dict[str, bytes] = {
    "truncated": json.dumps([entry()]).encode()[:-9],
    "empty": b"",
    "an object": b'{"images": []}',
    "a list of numbers": b"[1, 2]",
    "boxes": b'[{"image_id": 1, "score": 0.5, "bbox": [1, 2, 3, 4]}]',
    "named images": json.dumps([entry("a.jpg")]).encode(),
    "no score": json.dumps([entry(score=None)]).encode(),
    "other joints": json.dumps([entry(joints=18)]).encode(),
    "not a number": json.dumps([entry(x=float("inf"))]).encode(),
    "text among the numbers": json.dumps([{**entry(), "keypoints": ["1"] * 51}]).encode(),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(UserError, match=r"r\.json: "):
        CocoResultsTeacher(str(tmp_path / "r.json"))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"3", b"[3]", b'[{"id": "1", "file_name": "a"}]',
        b'[{"id": 1, "file_name": "a"}, {"id": 2, "file_name": "a"}]',
    ],
)  # fmt: skip
def test_a_damaged_list_of_images_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_bytes(content)
    with pytest.raises(UserError, match=r"ids\.json"):
        CocoResultsTeacher(write(tmp_path / "r.json", entry()), str(tmp_path / "ids.json"))


def test_bad_values_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "r.json", entry(0))
    with pytest.raises(RefusedError, match=r"path=.*nowhere\.json"):
        CocoResultsTeacher(str(tmp_path / "nowhere.json"))
    (tmp_path / "none").mkdir()
    with pytest.raises(RefusedError, match=r"path=.*<video>\.json"):
        CocoResultsTeacher(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"image_id=0 .*teacher\.first=1"):
        CocoResultsTeacher(path, first=1)
    with pytest.raises(UserError, match="skeleton=coco-16"):
        CocoResultsTeacher(path, skeleton="coco-16")
