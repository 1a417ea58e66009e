"""A file is the old one or the whole new one, and a journal has whole lines, also where the disk is full."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pose_oad.tracking.errors import UnwritableError
from pose_oad.tracking.files import append_lines, replacing
from pose_oad.tracking.hdf5 import replacing_hdf5
from tests.conftest import SmallDisk


def test_the_new_file_takes_the_place_of_the_old_one_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_bug_in_the_block_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a bug"), replacing(tmp_path / "a.txt"):
        raise RuntimeError("a bug")


def test_lines_follow_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_lines(path, "one\ntwo\n")
    with path.open("a") as file:
        file.write("cut o")
    append_lines(path, "three\n")
    assert path.read_text() == "one\ntwo\nthree\n"


def test_of_lines_that_do_not_fit_none_is_left(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "a.jsonl"
    append_lines(path, "one\n")
    small_disk.fill(4096)
    with pytest.raises(UnwritableError, match=r"a\.jsonl: .*No space left on device"):
        append_lines(path, "x" * 20_000 + "\n")
    assert path.read_text() == "one\n"
    append_lines(path, "two\n")
    assert path.read_text() == "one\ntwo\n"


@pytest.mark.parametrize("left", [0, 4096, 300_000, 3_000_000])
def test_a_full_disk_does_not_kill_the_writer_of_hdf5(small_disk: SmallDisk, left: int) -> None:
    path = small_disk.folder / "a.h5"
    rng = np.random.default_rng(0)

    def write() -> None:
        with replacing_hdf5(path) as file:
            rows = file.create_dataset("rows", (0, 100_000), np.uint8, maxshape=(None, 100_000), chunks=(1, 100_000))
            for number in range(40):
                rows.resize(number + 1, axis=0)
                rows[number] = rng.integers(0, 255, 100_000, np.uint8)
            file.create_dataset("sums", data=rows[:].sum(1), fletcher32=True)

    small_disk.fill(left)
    with pytest.raises(UnwritableError, match=r"a\.h5: .*No space left on device"):
        write()
    assert [entry.name for entry in small_disk.folder.iterdir()] == ["filler"]
    small_disk.make_room()
    write()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["rows"][:].sum(1), file["sums"][:])
