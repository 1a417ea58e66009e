from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from pose_oad.cli.teachers import make_teacher
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, Origin, TeacherRequest
from pose_oad.teachers.cache import CachedTeacher
from pose_oad.teachers.identity import content_hash, settings_key
from pose_oad.tracking.errors import UserError
from tests.conftest import SmallDisk


class Counting:
    """Labels frame n with n % 3 people who stand at (n, n); its maps are filled with n."""

    name, uses_truth, skeleton = "counting", False, get_skeleton("body-12")

    def __init__(self, with_maps: bool = True) -> None:
        self.asked: list[int] = []
        self.with_maps = with_maps

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        return frame_size

    def label(self, request: TeacherRequest) -> Labels:
        assert request.origin is not None
        numbers = request.origin.numbers.tolist()
        self.asked += numbers
        keypoints = torch.zeros(len(numbers), max((n % 3 for n in numbers), default=0), 12, 3)
        for row, number in enumerate(numbers):
            keypoints[row, : number % 3] = torch.tensor([number, number, 0.5])
        maps = torch.tensor(numbers).view(-1, 1, 1, 1).expand(-1, 12, 4, 6).float()
        fields = torch.tensor(numbers).view(-1, 1, 1, 1, 1).expand(-1, 10, 2, 4, 6).float()
        return Labels(keypoints, maps, fields) if self.with_maps else Labels(keypoints)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"frames of a video")
    return path


def ask(teacher: CachedTeacher, path: Path | None, numbers: list[int]) -> Labels:
    origin = Origin("S1/video", path, np.array(numbers, dtype=np.int64))
    images = np.zeros((len(numbers), 4, 6, 3), np.uint8)
    return teacher.label(TeacherRequest(np.array(numbers) + 100, images, (6, 4), None, origin))


def test_a_frame_is_asked_about_once_and_keeps_its_labels(tmp_path: Path, video: Path) -> None:
    first, second = Counting(), Counting()
    labels = ask(CachedTeacher(first, tmp_path / "cache", "{}"), video, [3, 4, 5])
    assert first.asked == [3, 4, 5]
    assert labels.counts == {"labels_from_cache": 0}

    again = ask(CachedTeacher(second, tmp_path / "cache", "{}"), video, [4, 5, 7])
    assert second.asked == [7]
    assert again.counts == {"labels_from_cache": 2}
    assert again.keypoints.shape == (3, 2, 12, 3)
    assert again.keypoints[:, 0, 0].tolist() == [[4, 4, 0.5], [5, 5, 0.5], [7, 7, 0.5]]
    assert (again.keypoints[:, 1, 0, 0] == torch.tensor([0.0, 5.0, 0.0])).all()
    assert again.confidence_maps is None


def test_what_this_run_has_asked_before_is_not_from_the_cache(tmp_path: Path, video: Path) -> None:
    teacher = Counting()
    cached = CachedTeacher(teacher, tmp_path / "cache", "{}")
    ask(cached, video, [1])
    assert ask(cached, video, [1, 2]).counts == {"labels_from_cache": 0}
    assert teacher.asked == [1, 2]


def test_a_second_run_makes_no_call(tmp_path: Path, video: Path) -> None:
    for keep_maps in (True, False):
        folder = tmp_path / str(keep_maps)
        first = ask(CachedTeacher(Counting(), folder, "{}", keep_maps), video, [0, 1, 2])
        second = Counting()
        again = ask(CachedTeacher(second, folder, "{}", keep_maps), video, [0, 1, 2])
        assert second.asked == []
        assert torch.equal(first.keypoints, again.keypoints)
        assert (again.confidence_maps is not None) == keep_maps
        if keep_maps:
            assert again.confidence_maps is not None
            assert again.part_affinity_fields is not None
            assert again.confidence_maps[:, 11, 3, 5].tolist() == [0, 1, 2]
            assert again.part_affinity_fields.shape == (3, 10, 2, 4, 6)


def test_maps_are_asked_for_where_only_keypoints_were_kept(tmp_path: Path, video: Path) -> None:
    ask(CachedTeacher(Counting(), tmp_path / "cache", "{}"), video, [1, 2])
    teacher = Counting()
    labels = ask(CachedTeacher(teacher, tmp_path / "cache", "{}", keep_maps=True), video, [1])
    assert teacher.asked == [1]
    assert labels.confidence_maps is not None


def test_a_teacher_without_maps_is_not_asked_again_for_them(tmp_path: Path, video: Path) -> None:
    ask(CachedTeacher(Counting(with_maps=False), tmp_path / "cache", "{}", keep_maps=True), video, [1, 2])
    teacher = Counting(with_maps=False)
    assert ask(CachedTeacher(teacher, tmp_path / "cache", "{}", keep_maps=True), video, [2, 1]).confidence_maps is None
    assert teacher.asked == []


def test_other_settings_or_another_video_miss_and_another_name_does_not(tmp_path: Path, video: Path) -> None:
    folder = tmp_path / "cache"
    ask(CachedTeacher(Counting(), folder, '{"height": 368}'), video, [1])
    renamed = video.rename(tmp_path / "renamed.mp4")
    other = tmp_path / "other.mp4"
    other.write_bytes(b"frames of another")
    for settings, path, asked in (('{"height": 368}', renamed, []), ('{"height": 256}', renamed, [1]),
                                  ('{"height": 368}', other, [1])):  # fmt: skip
        teacher = Counting()
        ask(CachedTeacher(teacher, folder, settings), path, [1])
        assert teacher.asked == asked


def test_what_a_crash_leaves_behind_is_usable(tmp_path: Path, video: Path) -> None:
    folder = tmp_path / "cache"
    cached = CachedTeacher(Counting(), folder, "{}")
    ask(cached, video, [1])
    kept = next(folder.rglob("*.h5"))
    (kept.parent / "half.h5.partial").write_bytes(kept.read_bytes()[:300])
    ask(cached, video, [2])
    damaged = next(path for path in folder.rglob("*.h5") if path != kept)
    damaged.write_bytes(damaged.read_bytes()[:-200])
    (kept.parent / "empty.h5").touch()
    teacher = Counting()
    labels = ask(CachedTeacher(teacher, folder, "{}"), video, [1, 2])
    assert teacher.asked == [2]
    assert labels.keypoints[:, 0, 0, 0].tolist() == [1, 2]


def test_a_flipped_bit_is_noticed(tmp_path: Path, video: Path) -> None:
    folder = tmp_path / "cache"
    first = ask(CachedTeacher(Counting(), folder, "{}", keep_maps=True), video, [1, 2])
    file, rng = next(folder.rglob("*.h5")), np.random.default_rng(0)
    content = file.read_bytes()
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        again = ask(CachedTeacher(Counting(), folder, "{}", keep_maps=True), video, [1, 2])
        for other in set(folder.rglob("*.h5")) - {file}:
            other.unlink()
        assert torch.equal(again.keypoints, first.keypoints)
        assert again.confidence_maps is not None
        assert first.confidence_maps is not None
        assert torch.equal(again.confidence_maps, first.confidence_maps)


@pytest.mark.parametrize(
    "changed", [{"people": [4, -2]}, {"people": None}, {"confidence_maps": np.zeros((1, 12, 4, 6), np.float32)}]
)
def test_a_file_that_does_not_hold_what_it_should_is_passed_over(
    tmp_path: Path, video: Path, changed: dict[str, Any]
) -> None:
    ask(CachedTeacher(Counting(), tmp_path / "cache", "{}", keep_maps=True), video, [1, 4])
    with h5py.File(next((tmp_path / "cache").rglob("*.h5")), "r+") as file:
        for name, value in changed.items():
            del file[name]
            if value is None:
                file.create_group(name)
            else:
                file[name] = value
    teacher = Counting()
    labels = ask(CachedTeacher(teacher, tmp_path / "cache", "{}", keep_maps=True), video, [4])
    assert teacher.asked == [4]
    assert labels.keypoints[0, 0, 0].tolist() == [4, 4, 0.5]


def test_an_image_is_found_by_its_name_whoever_lists_the_folder(tmp_path: Path) -> None:
    (tmp_path / "images" / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "more/a.png"):
        (tmp_path / "images" / name).write_bytes(name.encode())

    def ask_for(names: tuple[str, ...]) -> list[int]:
        teacher = Counting()
        origin = Origin("images", tmp_path / "images", np.arange(len(names)), names)
        request = TeacherRequest(np.arange(len(names)), np.zeros((len(names), 4, 6, 3), np.uint8), (6, 4), None, origin)
        CachedTeacher(teacher, tmp_path / "cache", "{}").label(request)
        return teacher.asked

    assert ask_for(("a.png",)) == [0]
    assert ask_for(("b.png", "a.png", "more/a.png")) == [0, 2]
    assert ask_for(("more/a.png", "b.png", "a.png")) == []
    (tmp_path / "images" / "more" / "a.png").write_bytes(b"another")
    assert ask_for(("more/a.png",)) == [0]


def test_where_no_frame_could_be_labelled_nothing_is_kept(tmp_path: Path, video: Path) -> None:
    class Blind(Counting):
        def label(self, request: TeacherRequest) -> Labels:
            return replace(super().label(request), unusable=torch.ones(len(request.ids), dtype=torch.bool))

    labels = ask(CachedTeacher(Blind(), tmp_path / "cache", "{}", keep_maps=True), video, [1, 2])
    assert labels.unusable is not None
    assert labels.unusable.all()
    teacher = Counting()
    ask(CachedTeacher(teacher, tmp_path / "cache", "{}", keep_maps=True), video, [1, 2])
    assert teacher.asked == [1, 2]


@pytest.mark.parametrize("folder", [5, ""])
def test_a_cache_that_is_no_folder_is_refused(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose_oad.cli.command._TRUSTED", {"tests"})
    node = OmegaConf.create({"_target_": "tests.pose_oad.teachers.test_cache.Counting"})
    with pytest.raises(UserError, match=f"label_cache={folder}: expected a folder"):
        make_teacher(node, None, folder)


def test_a_maps_file_that_vanished_is_a_miss(tmp_path: Path, video: Path) -> None:
    ask(CachedTeacher(Counting(), tmp_path / "cache", "{}", keep_maps=True), video, [1])
    teacher = Counting()
    cached = CachedTeacher(teacher, tmp_path / "cache", "{}", keep_maps=True)
    ask(cached, video, [])
    next((tmp_path / "cache").rglob("*.h5")).unlink()
    ask(cached, video, [1])
    assert teacher.asked == [1]


def test_frames_of_a_camera_are_not_kept(tmp_path: Path) -> None:
    teacher = Counting()
    cached = CachedTeacher(teacher, tmp_path / "cache", "{}")
    ask(cached, None, [1])
    ask(cached, None, [1])
    assert teacher.asked == [1, 1]
    assert not (tmp_path / "cache").exists()


def test_what_could_not_be_labelled_is_asked_about_again(tmp_path: Path, video: Path) -> None:
    class Unsure(Counting):
        def label(self, request: TeacherRequest) -> Labels:
            labels = super().label(request)
            assert request.origin is not None
            return replace(labels, unusable=torch.from_numpy(request.origin.numbers == 2))

    first, again = Unsure(), Counting()
    labels = ask(CachedTeacher(first, tmp_path / "cache", "{}", keep_maps=True), video, [1, 2, 4])
    assert labels.unusable is not None
    assert labels.unusable.tolist() == [False, True, False]
    labels = ask(CachedTeacher(again, tmp_path / "cache", "{}", keep_maps=True), video, [1, 2, 4])
    assert again.asked == [2]
    assert labels.unusable is None


def test_nothing_asked_is_nothing_labelled(tmp_path: Path, video: Path) -> None:
    assert ask(CachedTeacher(Counting(), tmp_path / "cache", "{}"), video, []).keypoints.shape == (0, 0, 12, 3)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, video: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"cache.*: cannot be written"):
        ask(CachedTeacher(Counting(), tmp_path / "cache", "{}"), video, [1])


def test_labels_that_do_not_fit_on_the_disk_leave_nothing(small_disk: SmallDisk, video: Path) -> None:
    cached = CachedTeacher(Counting(), small_disk.folder / "cache", "{}")
    small_disk.fill(0)
    with pytest.raises(UserError, match=r"cache/.*: .*No space left on device"):
        ask(cached, video, [1])
    assert not [path for path in small_disk.folder.rglob("*.*") if path.is_file()]
    small_disk.make_room()
    ask(cached, video, [1])
    assert list(small_disk.folder.rglob("*.h5"))


def test_settings_stand_for_content_and_speed_for_nothing(tmp_path: Path) -> None:
    weights, copy = tmp_path / "a.pth", tmp_path / "b.pth"
    weights.write_bytes(b"weights")
    copy.write_bytes(b"weights")
    key = settings_key({"path": str(weights), "height": 368, "batch_size": 8, "members": [{"path": str(weights)}]})
    same = settings_key({"height": 368, "path": str(copy), "batch_size": 1, "members": [{"path": str(copy)}]})
    assert key == same
    copy.write_bytes(b"others!")
    assert settings_key({"height": 368, "path": str(copy), "members": [{"path": str(weights)}]}) != key
    assert settings_key({"height": 256, "path": str(weights), "members": [{"path": str(weights)}]}) != key


def test_a_folder_of_images_is_its_files(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        (folder / "1.png").write_bytes(b"one")
    assert content_hash(folders[0]) == content_hash(folders[1])
    (folders[1] / "2.png").write_bytes(b"two")
    assert content_hash(folders[0]) != content_hash(folders[1])
    with pytest.raises(UserError, match="missing"):
        content_hash(tmp_path / "missing")
