from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pose_oad.predict.canvas import Canvas, to_yuv
from pose_oad.predict.overlay import overlay_video
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import guarded
from tests.conftest import SmallDisk


def test_a_video_has_the_frames_the_rate_and_the_colours_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "a.partial"
    with overlay_video(path, (64, 48), Fraction(30000, 1001), 10) as encode:
        for number, level in enumerate(range(0, 200, 10)):
            canvas, frame = Canvas.new((64, 48))
            for plane, value in zip(canvas._planes, to_yuv(level, level, level), strict=True):
                plane[...] = value
            encode(frame, number)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.frames) == (Fraction(30000, 1001), 20)
        levels = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(stream)]
    assert levels == pytest.approx(list(range(0, 200, 10)), abs=3)


def test_a_relative_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with overlay_video(Path("12:30.mp4"), (64, 48), Fraction(10), 20) as encode:
        encode(Canvas.new((64, 48))[1], 0)
    assert Path("12:30.mp4").stat().st_size > 0


def test_a_frame_in_front_of_a_missing_one_is_seen_longer(tmp_path: Path) -> None:
    with overlay_video(tmp_path / "a", (64, 48), Fraction(10), 20) as encode:
        for number in (3, 4, 7):
            encode(Canvas.new((64, 48))[1], number)
    with av.open(str(tmp_path / "a")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx([0.0, 0.1, 0.4])


def test_a_full_disk_is_named(small_disk: SmallDisk) -> None:
    def fill() -> None:
        video = overlay_video(small_disk.folder / "a", (640, 480), Fraction(10), 0)
        with guarded(video, Path("a.mp4"), "output.video") as encode:
            small_disk.fill(4096)
            for number in range(100):
                canvas, frame = Canvas.new((640, 480))
                for plane in canvas._planes:
                    plane[...] = np.random.default_rng(number).integers(0, 255, plane.shape, np.uint8)
                encode(frame, number)

    with pytest.raises(UserError, match=r"output.video=a.mp4: .*No space left on device"):
        fill()
