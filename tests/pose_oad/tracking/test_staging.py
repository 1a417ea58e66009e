from __future__ import annotations

from pathlib import Path

import pytest

from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import Staging, writing


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_outputs_appear_together_when_all_are_done(tmp_path: Path) -> None:
    with Staging() as staging:
        staging.place("a", tmp_path / "new" / "a.json").write_text("whole")
        (staging.place("b", tmp_path / "b", folder=True) / "1_keypoints.json").write_text("{}")
        assert not (tmp_path / "new" / "a.json").exists()
        assert not (tmp_path / "b").exists()
    assert names(tmp_path) == {"new", "new/a.json", "b", "b/1_keypoints.json"}
    assert (tmp_path / "new" / "a.json").read_text() == "whole"


@pytest.mark.parametrize("error", [UserError, KeyboardInterrupt])
def test_an_error_leaves_nothing_and_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    old = tmp_path / "a.json"
    old.write_text("old")

    def fail() -> None:
        with Staging(overwrite=True) as staging:
            staging.place("a", old).write_text("new")
            (staging.place("b", tmp_path / "b", folder=True) / "1.json").write_text("{}")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == {"a.json"}
    assert old.read_text() == "old"


def test_what_exists_is_replaced_only_on_request(tmp_path: Path) -> None:
    old, folder = tmp_path / "a.json", tmp_path / "b"
    old.write_text("old")
    folder.mkdir()
    (folder / "9_keypoints.json").write_text("{}")
    for target, is_folder in ((old, False), (folder, True)):
        with pytest.raises(UserError, match=f"key={target}: expected .*overwrite=true"):
            Staging().refuse("key", target, is_folder)
    with Staging(overwrite=True) as staging:
        staging.place("a", old).write_text("new")
        staging.place("b", folder, folder=True)
    assert old.read_text() == "new"
    assert names(tmp_path) == {"a.json", "b"}


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"key=.*_keypoints\.json"):
        Staging(overwrite=True).refuse("key", tmp_path, folder=True)
    with pytest.raises(UserError, match=r"key=.* a file"):
        Staging(overwrite=True).refuse("key", tmp_path)


def test_a_name_that_is_too_long_is_named() -> None:
    with pytest.raises(UserError, match=r"output.file=x+: .*File name too long"):
        Staging().refuse("output.file", Path("x" * 300))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"key=.*/file/a.json: .*File exists"), Staging() as s:
        s.place("key", tmp_path / "file" / "a.json")
    full = pytest.raises(UserError, match=r"key=a.mp4: .*No space left on device")
    with full, writing(Path("a.mp4"), "key"):
        raise OSError(28, "No space left on device")
