from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_oad.offline.journal import SelectionJournal
from pose_oad.online.batch import LabelledBatch
from pose_oad.tracking.errors import UserError
from tests.windows import make_window


def row(window: int, calls: int) -> dict:
    return {"window": window, "first_frame": 6 * window, "last_frame": 6 * window + 5, "teacher_calls": calls}


def labelled(count: int, people: int) -> LabelledBatch:
    return LabelledBatch(
        torch.zeros(count, 4, 4, 3, dtype=torch.uint8), torch.rand(count, people, 2, 3) / 3,
        torch.rand(count, 2) > 0.5, torch.ones(count, 1, dtype=torch.bool), torch.tensor([1, 4])[:count],
        metric_scale=torch.rand(count, 2),
    )  # fmt: skip


@pytest.mark.parametrize("people", [0, 1, 3])
def test_labels_come_back_exactly_and_pictures_from_the_window(tmp_path: Path, people: int) -> None:
    given = labelled(2, people)
    journal = SelectionJournal(tmp_path / "selection.jsonl")
    journal.append(row(0, 6), np.array([1, 4]), given)
    journal.append(row(1, 0), np.array([], np.int64), None)
    again = SelectionJournal(tmp_path / "selection.jsonl")
    assert again.rows == journal.rows == [row(0, 6), row(1, 0)]
    assert {number: window.teacher_calls for number, window in again.kept.items()} == {0: 6, 1: 0}
    assert not len(again.kept[1].positions)
    window = make_window(6)
    batch = again.kept[0].batch(window)
    assert torch.equal(batch.frames, window.frames[[1, 4]])
    for name in ("keypoints", "known", "known_limbs", "frame_ids", "metric_scale"):
        part, expected = getattr(batch, name), getattr(given, name)
        assert part.shape == expected.shape
        assert part.dtype == expected.dtype
        assert torch.equal(part, expected)


def test_a_line_that_was_cut_off_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "selection.jsonl"
    journal = SelectionJournal(path)
    for number in range(2):
        journal.append(row(number, 1), np.array([0]), labelled(1, 1))
    path.write_bytes(path.read_bytes()[:-9])
    again = SelectionJournal(path)
    assert list(again.kept) == [0]
    again.append(row(1, 1), np.array([2]), labelled(1, 1))
    assert SelectionJournal(path).kept[1].positions.tolist() == [2]


def test_videos_that_have_changed_are_refused(tmp_path: Path) -> None:
    SelectionJournal(tmp_path / "selection.jsonl").append(row(0, 1), np.array([0]), labelled(1, 1))
    kept = SelectionJournal(tmp_path / "selection.jsonl").kept[0]
    with pytest.raises(UserError, match=r"window 0 has frames 0 to 6; expected 0 to 5"):
        kept.batch(make_window(7))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "abc" / "unfinished"
    folder.mkdir(parents=True)
    journal = SelectionJournal(folder / "selection.jsonl")
    (folder / "selection.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"No space left on device"):
        journal.append(row(0, 1), np.array([0]), labelled(1, 1))


@pytest.mark.parametrize("line", ["[]", "{}", "[" * 10**5, '{"row": 1}', '{"row": {"window": 5}}', "\x00"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "selection.jsonl"
    SelectionJournal(path).append(row(0, 0), np.array([], np.int64), None)
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=r"selection\.jsonl: damaged in line 2"):
        SelectionJournal(path)
