from __future__ import annotations

import json
from pathlib import Path

import pytest

from pose_oad.report.build import MANIFEST, replaced_folder
from pose_oad.tracking.errors import UserError


def write(folder: Path, *names: str) -> None:
    with replaced_folder(folder) as partial:
        for name in names:
            (partial / name).write_text(name)
        (partial / MANIFEST).write_text(json.dumps({"files": names}))


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    write(folder, "old.txt", "both.txt")
    write(folder, "both.txt")
    assert {path.name for path in folder.iterdir()} == {"both.txt", MANIFEST}
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_what_is_interrupted_leaves_what_was_there(tmp_path: Path, stop: type[BaseException]) -> None:
    folder = tmp_path / "report"
    write(folder, "old.txt")

    def interrupted() -> None:
        with replaced_folder(folder) as partial:
            (partial / "half.txt").write_text("half")
            raise stop

    with pytest.raises(stop):
        interrupted()
    assert {path.name for path in folder.iterdir()} == {"old.txt", MANIFEST}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / "report", "old.txt")
    (tmp_path / "report" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"folder=.*notes\.txt"):
        write(tmp_path / "report", "new.txt")
    assert (tmp_path / "report" / "old.txt").exists()


def test_an_empty_folder_will_do_and_a_file_will_not(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    write(tmp_path / "report", "new.txt")
    assert (tmp_path / "report" / "new.txt").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"folder=.*file"):
        write(tmp_path / "file", "new.txt")
    with pytest.raises(UserError, match=r"folder=.*below"):
        write(tmp_path / "file" / "below", "new.txt")
