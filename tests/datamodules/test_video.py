from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datamodules.video import Clip, VideoFileSource, fraction_of, probe, read_frames
from pose_oad.errors import UserError
from tests.media import counting_frames, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, counting_frames(60, 32), rate=50)
    return path


def clip_of(path: Path, start: int = 0, stop: int = 60) -> Clip:
    return Clip("clip", path, (32, 32), 50.0, start, stop)


def level(frame) -> int:
    return round(frame.to_ndarray(format="rgb24").mean() / 4)


def test_probe_reads_size_rate_and_length(video: Path) -> None:
    assert probe(video) == ((32, 32), 50.0, 60)


def test_frames_come_in_order_and_are_the_right_ones(video: Path) -> None:
    read = [(number, level(frame)) for number, frame in read_frames(clip_of(video, 10, 20))]
    assert read == [(number, number) for number in range(10, 20)]


def test_reading_goes_on_behind_a_frame(video: Path) -> None:
    assert [number for number, _ in read_frames(clip_of(video, 10, 20), after=15)] == [16, 17, 18, 19]


@pytest.mark.parametrize("rate", [10.0, 20.0, 33.0])
def test_a_lower_camera_rate_keeps_the_first_frame_of_each_tick(video: Path, rate: float) -> None:
    numbers = [number for number, _ in read_frames(clip_of(video), rate)]
    ticks = np.floor(np.arange(60) / 50 * rate + 1e-6)
    assert numbers == [int(np.flatnonzero(ticks == tick)[0]) for tick in np.unique(ticks)]
    assert len(numbers) == clip_of(video).sampled_length(rate)


def test_a_lower_rate_goes_on_where_it_was(video: Path) -> None:
    whole = [number for number, _ in read_frames(clip_of(video), 20.0)]
    rest = [number for number, _ in read_frames(clip_of(video), 20.0, after=whole[7])]
    assert rest == whole[8:]


def test_fractions() -> None:
    assert fraction_of(1000, 0.25, 0.8) == (250, 800)
    with pytest.raises(UserError, match=r"stream.end=0.2: expected a fraction in \(0.5, 1\]"):
        fraction_of(10, 0.5, 0.2)
    with pytest.raises(UserError, match=r"stream.start=-1"):
        fraction_of(10, -1, 0.2)


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stream.path=.*none.mp4: expected an existing video file"):
        VideoFileSource(str(tmp_path / "none.mp4"))


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"odd.mp4: cannot be read as a video"):
        VideoFileSource(str(path))


def test_a_truncated_video_is_named_with_the_frame_it_ends_at(tmp_path: Path, video: Path) -> None:
    # A transport stream can be cut anywhere and still be opened.
    import av

    path = tmp_path / "cut.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=50, options={"g": "1"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for image in counting_frames(60, 32):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"cut.mkv: (truncated video: ends after \d+ of 60 frames|damaged video)"):
        list(read_frames(clip_of(path)))


def test_a_cut_mp4_cannot_be_opened(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(video.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"cut.mp4"):
        VideoFileSource(str(path))


def test_a_real_video_opens(real_data: Path) -> None:
    source = VideoFileSource(str(real_data / "video" / "one-by-one-person-detection.mp4"))
    assert (source.clips[0].frame_size, source.clips[0].rate, source.clips[0].stop) == ((768, 432), 10.0, 1394)
