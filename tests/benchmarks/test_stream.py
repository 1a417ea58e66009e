from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import stream
from benchmarks.stream import bench_stream
from pose_oad.tracking.errors import UserError


def test_the_share_is_that_of_the_speeds(configure) -> None:
    share, windows, bare = bench_stream(configure("repeats=2"))
    assert (share.name, share.limit, share.bound) == ("stream.share", 0.8, "at least")
    assert "108 frames of 64x64 to 64x64 px" in share.how
    assert share.samples == pytest.approx(
        [ours / other for ours, other in zip(windows.samples, bare.samples, strict=True)]
    )


def test_a_video_is_read_as_well(configure, human36m_tree: Path) -> None:
    video = human36m_tree / "S1" / "Videos" / "Walking 1.55011271.mp4"
    figures = bench_stream(configure(f"video='{video}'"))
    assert [figure.name for figure in figures if figure.limit] == ["stream.share", "stream.video.share"]
    assert "60 frames" in figures[3].how


def test_a_missing_video_is_named(configure) -> None:
    with pytest.raises(UserError, match=r"video=nowhere.mp4: expected an existing video file"):
        bench_stream(configure("video=nowhere.mp4"))


def test_a_side_that_reads_less_is_found_out(configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "read_bare", lambda source, options: 107)
    with pytest.raises(RuntimeError, match="read 107 of 108 frames"):
        bench_stream(configure())
