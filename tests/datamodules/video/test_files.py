from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from datamodules.stream import WindowLoader
from datamodules.video import VideoFileSource
from datamodules.video.clips import Clip, fraction_of
from datamodules.video.images import IMAGE_SUFFIXES
from datamodules.video.reading import probe, read_frames
from datamodules.windowing import StreamOptions
from pose_oad.tracking.errors import RefusedError, UserError
from tests.media import counting_frames, write_video
from tests.servers import serving_files, serving_live
from tests.videos import damage, level, write_counting


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, counting_frames(60, 32), rate=50)
    return path


def clip_of(path: Path, start: int = 0, stop: int = 60) -> Clip:
    return Clip("clip", path, (32, 32), 50.0, start, stop)


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
    with pytest.raises(RefusedError, match=r"end=0.2: .*0\.5"):
        fraction_of(10, 0.5, 0.2)


def test_a_relative_name_with_a_colon_is_a_file(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, "12:30 50%d.mp4")
    [clip] = VideoFileSource("12:30 50%d.mp4").clips
    assert [number for number, _ in read_frames(clip)] == list(range(60))


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"path=.*none.mp4: "):
        VideoFileSource(str(tmp_path / "none.mp4"))


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"odd.mp4: "):
        VideoFileSource(str(path))


def test_a_truncated_video_is_named_with_the_frame_it_ends_at(tmp_path: Path, video: Path) -> None:
    # A Matroska file can be cut anywhere and still be opened.
    path = tmp_path / "cut.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=50, options={"g": "1"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for image in counting_frames(60, 32):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"cut.mkv: "):
        list(read_frames(clip_of(path)))


def test_a_cut_mp4_cannot_be_opened(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(video.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"cut.mp4"):
        VideoFileSource(str(path))


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "vfr.ts"])
def test_an_irregular_video_is_played_at_a_lower_rate_by_its_time_stamps(tmp_path: Path, name: str) -> None:
    stamps = [500, 533, 567, 600, 799, 801, 1101, 1104, 1499, 1600]
    path = write_counting(tmp_path / name, 10, stamps_ms=stamps)
    size, rate, frames = probe(path)
    assert (size, frames) == ((32, 32), 10)
    clip = Clip("vfr", path, size, max(rate, 10.1), 0, frames)
    # From the start in tenths of a second: 0 0.3 0.7 | 1 | 2.99 | 3.01 | 6.01 6.04 | 9.99 | 11. A stamp may be half a
    # unit of the container's clock early, so that 2.99 and 9.99 are early all the same.
    read = [(number, level(frame)) for number, frame in read_frames(clip, 10.0)]
    assert read == [(number, number) for number in (0, 3, 4, 5, 6, 8, 9)]
    assert [number for number, _ in read_frames(clip, 10.0, after=4)] == [5, 6, 8, 9]


def test_a_thirty_hertz_clock_of_milliseconds_halves_evenly(tmp_path: Path) -> None:
    path = write_counting(tmp_path / "ms.mkv", 30, rate=30)
    clip = Clip("ms", path, (32, 32), 30.0, 0, 30)
    assert [number for number, _ in read_frames(clip, 15.0)] == list(range(0, 30, 2))


def test_damaged_frames_are_skipped_counted_and_never_shift_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_counting(tmp_path / "hurt.mp4")
    damage(path, [3, 4, 17])
    [clip] = VideoFileSource(str(path)).clips
    read = [(number, level(frame)) for number, frame in read_frames(clip)]
    assert read == [(number, number) for number in range(24) if number not in (3, 4, 17)]
    assert [number for number, _ in read_frames(clip, after=2)] == [number for number, _ in read if number > 2]
    assert caplog.text.count("hurt.mp4: 3 damaged frames skipped") == 2  # once each time it was read
    [window] = WindowLoader(VideoFileSource(str(path)), StreamOptions(30, (32, 32)))
    assert window.ids.tolist() == list(range(21))
    assert window.segments[0].origin is not None
    assert window.segments[0].origin.numbers.tolist() == [number for number, _ in read]


def test_a_video_of_which_nothing_can_be_decoded_is_named(tmp_path: Path) -> None:
    path = write_counting(tmp_path / "ruin.mp4")
    damage(path, range(24))
    with pytest.raises(UserError, match=r"ruin.mp4: "):
        VideoFileSource(str(path))


@pytest.mark.parametrize("name", ["flipped.mp4", "flipped.mkv", "flipped.ts", "flipped.avi"])
def test_flipped_bits_anywhere_are_survived_or_named(tmp_path: Path, name: str) -> None:
    whole = write_counting(tmp_path / name, b_frames=2, keyframes=6).read_bytes()
    outcomes, named = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 5):
            data[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"{seed}-{name}"
        path.write_bytes(bytes(data))
        try:
            [clip] = VideoFileSource(str(path)).clips
            numbers = [number for number, _ in read_frames(clip)]
        except UserError as error:
            named.append(str(error))
            continue
        assert numbers == sorted(set(numbers))
        outcomes.append(len(numbers))
    assert max(outcomes) >= 20
    assert all(name in message for message in named)


def test_a_phone_held_upright_films_upright(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(-90)
        for image in counting_frames(5, 64)[:, :32]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    [clip] = VideoFileSource(str(path)).clips
    assert clip.frame_size == (32, 64)
    assert {(frame.width, frame.height) for _, frame in read_frames(clip)} == {(32, 64)}
    [window] = WindowLoader(VideoFileSource(str(path)), StreamOptions(5, (16, 16)))
    assert window.segments[0].resize.content == (4, 0, 8, 16)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(counting_frames(12, 16)):
        av.VideoFrame.from_ndarray(image, format="rgb24").save(str(folder / f"img_{number}.png"))
    return folder


def test_a_folder_of_images_is_a_video(images: Path) -> None:
    assert ".png" in IMAGE_SUFFIXES
    source = VideoFileSource(str(images), end=0.75, rate=10)
    [clip] = source.clips
    assert (clip.name, clip.frame_size, clip.rate, clip.start, clip.stop) == ("images", (16, 16), 10, 0, 9)
    loader = WindowLoader(source, StreamOptions(4, (16, 16), rate=5.0))
    windows = list(loader)
    assert [(frame.float().mean() / 4).round().int().item() for w in windows for frame in w.frames] == [0, 2, 4, 6, 8]
    assert loader.total_frames == 5
    assert windows[0].segments[0].origin is not None
    assert windows[0].segments[0].origin.names == ("img_0.png", "img_2.png", "img_4.png", "img_6.png")
    assert windows[0].segments[0].origin.path == images


def test_what_is_listed_is_played_one_after_another(images: Path, video: Path, tmp_path: Path) -> None:
    with serving_files(video.parent) as url:
        source = VideoFileSource([str(images), str(video), f"{url}/clip.mp4"], end=0.5)
        assert [(clip.name, clip.stop) for clip in source.clips] == [("images", 6), ("clip", 30), ("clip.mp4", 30)]
        windows = list(WindowLoader(source, StreamOptions(22, (16, 16))))
    levels = [(frame.float().mean() / 4).round().int().item() for window in windows for frame in window.frames]
    assert levels == [*range(6), *range(30), *range(30)]


def test_files_of_one_name_are_called_by_their_paths(video: Path, tmp_path: Path) -> None:
    again = tmp_path / "clip.mp4"
    again.write_bytes(video.read_bytes())
    source = VideoFileSource([str(video), str(again)])
    assert [clip.name for clip in source.clips] == [str(video), str(again)]


def test_what_has_no_end_is_no_file(tmp_path: Path) -> None:
    data = write_counting(tmp_path / "live.ts", kind="mpegts").read_bytes()
    with serving_live(lambda client: client.write(data)) as url:  # noqa: SIM117 (the server outlives the check)
        with pytest.raises(UserError, match=r"stream\.path=http.*: .*stream=live"):
            VideoFileSource(url)


@pytest.mark.parametrize(
    ("path", "message"),
    [(0, "path=0: .*stream=live"),
     (["none.mp4"], "path=none.mp4: ")],
)  # fmt: skip
def test_what_is_not_there_is_named(path, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        VideoFileSource(path)


def test_a_real_video_opens(real_data: Path) -> None:
    source = VideoFileSource(str(real_data / "video" / "one-by-one-person-detection.mp4"))
    assert (source.clips[0].frame_size, source.clips[0].rate, source.clips[0].stop) == ((768, 432), 10.0, 1394)
