from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from datamodules.human36m.archives import find_archives, unpack
from datamodules.human36m.doctor import Selection
from datamodules.human36m.prepare import PrepareOptions, examine_folder, prepare_folder
from tests.media import write_full_sequence

CAMERA = "54138969"
PARTS = {
    "Videos": "Videos",
    "Poses_D2_Positions": "MyPoseFeatures/D2_Positions",
    "Poses_D3_Positions": "MyPoseFeatures/D3_Positions",
    "Poses_D3_Positions_mono": "MyPoseFeatures/D3_Positions_mono",
}


def add(tar: tarfile.TarFile, name: str, content: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.type, member.linkname = len(content), 1000, kind, link
    tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("prefix", ["S1/", ""])
def test_a_stream_is_prepared_straight_from_the_archives(tmp_path: Path, prefix: str) -> None:
    write_full_sequence(tmp_path / "tree", "S1", "Walking", (CAMERA,), 12)
    root, out = tmp_path / "downloads", tmp_path / "out"
    root.mkdir()
    for archive, folder in PARTS.items():
        with tarfile.open(root / f"{archive}_S1.tgz", "w:gz") as tar:
            tar.add(tmp_path / "tree" / "S1" / folder, f"{prefix}{folder}")
    options = PrepareOptions(root, out, Selection(("S1",), (CAMERA,)), size=(32, 32))
    report = examine_folder(options, lambda step, done, total: None)
    assert [examination.kinds for examination in report.usable] == [("2d", "world", "camera")]
    assert prepare_folder(options, report, lambda step, done, total: None) == 1
    assert sorted(path.name for path in root.iterdir()) == sorted(f"{archive}_S1.tgz" for archive in PARTS)
    again = examine_folder(options, lambda step, done, total: pytest.fail("unpacked again") if ".tgz" in step else None)
    assert prepare_folder(options, again, lambda step, done, total: None) == 0


def test_what_is_unpacked_beside_them_is_not_unpacked_again(tmp_path: Path) -> None:
    for name in ("Videos_S1.tgz", "Videos_S5.tgz", "Poses_D2_Positions_S1.tgz", "Other_S1.tgz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "S1" / "Videos").mkdir(parents=True)
    assert [path.name for path in find_archives(tmp_path, ["S1"])] == ["Poses_D2_Positions_S1.tgz"]


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("../../outside.mp4", tarfile.REGTYPE, ""),
        ("/tmp/../../../outside.mp4", tarfile.REGTYPE, ""),
        ("S1/Videos/outside.mp4", tarfile.SYMTYPE, "../../../outside.mp4"),
        ("S1/Videos/device.mp4", tarfile.CHRTYPE, ""),
    ],
)
def test_nothing_is_written_outside_of_the_folder(tmp_path: Path, name: str, kind: bytes, link: str) -> None:
    archive, folder = tmp_path / "Videos_S1.tgz", tmp_path / "a" / "b" / "c"
    with tarfile.open(archive, "w:gz") as tar:
        add(tar, name, b"" if link or kind != tarfile.REGTYPE else b"evil", kind, link)
        add(tar, "S1/Videos/Walking.54138969.mp4", b"good")
    findings = unpack(archive, folder)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert files - {"a/b/c/S1/Videos/outside.mp4"} == {
        "Videos_S1.tgz", "a/b/c/Videos_S1.tgz.json", "a/b/c/S1/Videos/Walking.54138969.mp4",
    }  # fmt: skip
    if ".." in name and name.startswith(".."):
        assert [finding.kind for finding in findings] == ["odd"]
        assert "outside" in findings[0].what


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_archive_is_reported_and_read_as_far_as_it_goes(tmp_path: Path, damage: str) -> None:
    archive = tmp_path / "Videos_S1.tgz"
    noise = bytes((i * i * 31 + i // 7) % 251 for i in range(200_000))
    with tarfile.open(archive, "w:gz") as tar:
        add(tar, "S1/Videos/Eating.54138969.mp4", noise[:3000])
        add(tar, "S1/Videos/Walking.54138969.mp4", noise)
    content = bytearray(archive.read_bytes())
    content[len(content) * 3 // 4] ^= 255
    damaged = {
        "truncated": archive.read_bytes()[: len(content) * 3 // 4],
        "flipped": content,
        "empty": b"",
        "text": b"t",
    }
    archive.write_bytes(damaged[damage])
    findings = unpack(archive, tmp_path / "out")
    assert [finding.kind for finding in findings] == ["damaged"]
    assert str(archive) == findings[0].where
    assert not (tmp_path / "out" / "Videos_S1.tgz.json").exists()
    unpacked = {path.name for path in tmp_path.rglob("*.mp4*")}
    assert not any(name.endswith(".partial") for name in unpacked)
    assert ("Eating.54138969.mp4" in unpacked) == (damage in ("truncated", "flipped"))


def test_a_damaged_record_of_what_was_unpacked_is_made_again(tmp_path: Path) -> None:
    archive, record = tmp_path / "Videos_S1.tgz", tmp_path / "out" / "Videos_S1.tgz.json"
    with tarfile.open(archive, "w:gz") as tar:
        add(tar, "S1/Videos/Eating.54138969.mp4", b"video")
    unpack(archive, tmp_path / "out")
    whole = record.read_bytes()
    record.write_bytes(b"\xff" + whole[1:])
    assert unpack(archive, tmp_path / "out") == []
    assert record.read_bytes() == whole
