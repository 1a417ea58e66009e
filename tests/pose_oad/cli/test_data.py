from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.synthetic.generate import World
from pose_oad.cli.command import build, compose_config, plain
from pose_oad.cli.data import main
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import build_options
from tests.media import write_full_sequence

SMALL = [
    "workers=0", "train_images=1", "val_images=1", "image_size=64",
    "recordings=[{subject:S1,takes:1,frames:2}]", "frame_size=64", "cameras=[55011271]",
]  # fmt: skip


def test_the_command_makes_the_world_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    overrides = [f"root={tmp_path}/world", *SMALL]
    with caplog.at_level(logging.INFO):
        root = main(compose_config("data", overrides))
        assert (root / "contact_sheet.png").is_file()
        assert "made" in caplog.text
        main(compose_config("data", overrides))
    assert "already there" in caplog.text


@pytest.mark.parametrize(
    "override",
    [
        "workers=-1",
        "workers=many",
        "overwrite=perhaps",
        "cameras=55011271",
        "cameras=[1]",
        "frame_size=99",
        "seed=x",
        "recordings=30",
    ],
)
def test_bad_values_are_named(tmp_path: Path, override: str) -> None:
    with pytest.raises(UserError, match=f"^{override.split('=')[0]}="):
        main(compose_config("data", [f"root={tmp_path}/world", *SMALL, override]))
    assert not (tmp_path / "world").exists()


def test_a_root_that_cannot_be_written_is_named() -> None:
    with pytest.raises(UserError, match="root=/proc/none/world: "):
        main(compose_config("data", ["root=/proc/none/world", *SMALL]))


def test_the_defaults_of_config_and_code_agree() -> None:
    cfg = compose_config("data")
    keys = [field.name for field in dataclasses.fields(World)]
    assert build_options(World, {key: value for key, value in plain(cfg).items() if key in keys}) == World()


@pytest.mark.slow
def test_a_mistake_ends_with_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    command = [sys.executable, "-m", "pose_oad.cli", "data", f"root={tmp_path}", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"root={tmp_path}" in done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A Human3.6M tree: S1, one sequence of one camera."""
    write_full_sequence(tmp_path / "tree", "S1", "Walking 1", ("55011271",), 12)
    return tmp_path / "tree"


def human36m(root: Path, *overrides: str) -> list[str]:
    return ["source=human36m", f"root='{root}'", f"human36m.out='{root.parent}/out'", "workers=0", *overrides]


def test_human36m_is_examined_and_prepared(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = main(compose_config("data", human36m(tree, "human36m.subjects=[S1]", "human36m.frames.size=[32,32]")))
    assert out == tree.parent / "out"
    assert (out / "S1" / "Walking 1.55011271.h5").is_file()
    source = build(compose_config("online", [f"stream.root='{out}'"]).stream)
    assert [clip.name for clip in source.clips] == ["S1/Walking 1.55011271"]
    assert "1 of 1" in capsys.readouterr().err


def test_a_check_only_reports(tree: Path) -> None:
    main(compose_config("data", human36m(tree, "human36m.check_only=true")))
    report = json.loads((tree.parent / "out" / "doctor.json").read_text())
    assert report["usable"] == ["S1/Walking 1.55011271"]
    assert [path.name for path in (tree.parent / "out").iterdir()] == ["doctor.json"]


def test_nothing_usable_is_one_line(tree: Path) -> None:
    (tree / "S1" / "Videos" / "Walking 1.55011271.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"root=.*: .* \(S1/Walking 1.55011271: .*1.55011271.mp4"):
        main(compose_config("data", human36m(tree)))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("source=other", "source=other: expected synthetic or human36m"),
        ("root=null", "root=None: expected .*Human3.6M"),
        ("root=nowhere", "root=nowhere: expected .*Human3.6M"),
        ("human36m.subjects=[S2]", r"human36m.subjects=\['S2'\]: expected a list of S1 or S5"),
        ("human36m.subjects=S1", "human36m.subjects=S1: expected a list"),
        ("human36m.cameras=[]", r"human36m.cameras=\[\]: .*length at least 1"),
        ("human36m.actions=[Walkin]", r"human36m.actions=\['Walkin'\]: .* or Walking"),
        ("human36m.frames.size=256", "human36m.frames.size=256: .*at least 8, at most 4096"),
        ("human36m.frames.resize_mode=crop", "human36m.frames.resize_mode=crop: expected letterbox or squash"),
        ("human36m.frames.compression=zip", "human36m.frames.compression=zip: expected lzf, or null"),
        ("human36m.check_only=perhaps", "human36m.check_only=perhaps: expected true or false"),
        ("human36m.findings=-1", "human36m.findings=-1: expected a whole number, at least 0"),
        ("human36m.metadata=nowhere.xml", "nowhere.xml: "),
        ("workers=-1", "workers=-1: expected a whole number"),
        ("human36m.out=null", "human36m.out=None: expected text"),
        ("human36m.report=null", "human36m.report=None: expected text"),
        ("human36m.report=/proc/none/doctor.json", "/proc/none/doctor.json: "),
        ("human36m.out=/proc/none human36m.report={}/doctor.json", "^/proc/none: "),
    ],
)
def test_bad_values_for_human36m_are_named(tree: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(compose_config("data", human36m(tree, "human36m.subjects=[S1]", *override.format(tree.parent).split())))
    assert not list(tree.parent.glob("out/**/*.h5"))
