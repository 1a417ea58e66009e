from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datamodules.human36m import Human36mSource
from datamodules.human36m.doctor import Selection
from datamodules.human36m.prepare import PrepareOptions, examine_folder, prepare_folder
from datamodules.stream import WindowLoader
from datamodules.windowing import StreamOptions
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.tracking.errors import UserError
from tests.media import walking_pose, write_fetch_sequence

CAMERAS = ("54138969", "55011271")


def windows(root: Path) -> list[FrameWindow]:
    return list(WindowLoader(Human36mSource(str(root), cameras=CAMERAS), StreamOptions(10, (32, 32))))


def test_a_tree_with_every_frame_is_a_stream(tmp_path: Path) -> None:
    write_fetch_sequence(tmp_path, "S1", "Walking-1", CAMERAS, range(1, 16))
    found = windows(tmp_path)
    assert [len(window) for window in found] == [10, 10, 4]  # the first 12 of 15 frames of each camera
    levels = (found[0].frames.float().mean((1, 2, 3)) / 4).round().int().tolist()
    assert levels == list(range(10))
    truth = reveal(found[0])
    assert truth is not None
    np.testing.assert_allclose(truth[:, 0, :, :2].numpy(), walking_pose(10), rtol=1e-5)
    assert found[0].segments[0].labels == {"subject": "S1", "action": "Walking", "camera": "54138969"}
    origin = found[0].segments[0].origin
    assert origin is not None
    assert origin.names[:2] == ("img_000001.jpg", "img_000002.jpg")


def test_it_is_prepared_like_any_other(tmp_path: Path) -> None:
    write_fetch_sequence(tmp_path, "S1", "TakingPhoto-2", CAMERAS, range(3, 18))
    options = PrepareOptions(tmp_path, tmp_path / "out", Selection(("S1",), CAMERAS), size=(32, 32))
    report = examine_folder(options, lambda step, done, total: None)
    assert prepare_folder(options, report, lambda step, done, total: None) == 2
    for one, other in zip(windows(tmp_path), windows(tmp_path / "out"), strict=True):
        assert one.frames.equal(other.frames)
        assert [s.origin.names for s in one.segments if s.origin] == [
            s.origin.names for s in other.segments if s.origin
        ]
        assert [s.clip for s in one.segments] == [s.clip for s in other.segments]
    assert one.segments[0].labels["action"] == "Photo"


def test_missing_frames_are_refused_as_a_stream(tmp_path: Path) -> None:
    write_fetch_sequence(tmp_path, "S9", "Walking-1", CAMERAS[:1], range(1, 200, 64))
    message = r"annot.h5: frame 65 follows 1; .*S9/Walking-1.54138969"
    with pytest.raises(UserError, match=message):
        Human36mSource(str(tmp_path), subjects=["S9"], cameras=CAMERAS[:1])
    options = PrepareOptions(tmp_path, tmp_path / "out", Selection(("S9",), CAMERAS[:1]))
    report = examine_folder(options, lambda step, done, total: None)
    assert not report.usable
    assert "frame 65 follows 1" in next(finding.what for finding in report.findings if finding.kind == "damaged")


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("annot.h5", b"", r"annot.h5: "),
        ("imageSequence/54138969/img_000001.jpg", b"no picture", r"img_000001.jpg: "),
        ("imageSequence/54138969/img_000004.jpg", None, r"img_000004.jpg: .*annot.h5"),
        ("imageSequence/54138969/img_000004.jpg", b"no picture", r"img_000004.jpg: "),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, path: str, content: bytes | None, message: str) -> None:
    write_fetch_sequence(tmp_path, "S1", "Walking-1", CAMERAS, range(1, 11))
    file = tmp_path / "processed" / "S1" / "Walking-1" / path
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        windows(tmp_path)
