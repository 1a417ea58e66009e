from __future__ import annotations

import itertools
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import av
import numpy as np
import pytest

import datamodules.video.live
from datamodules.stream import WindowLoader
from datamodules.video.clips import Clip, DecodedFrame, FrameSizes, is_live
from datamodules.video.decoding import Decoded
from datamodules.video.live import LiveFeed, LiveSource, Patience
from datamodules.windowing import StreamOptions
from pose_oad.cli.command import compose_config
from pose_oad.tracking.errors import RefusedError, UserError
from tests.servers import serving_files, serving_live
from tests.videos import write_counting

SIZES = FrameSizes((8, 8), (4, 4))


def arriving(numbers: range) -> Iterator[Decoded]:
    for number in numbers:
        image = np.full((16, 16, 3), number, np.uint8)
        yield Decoded(number, number / 10, av.VideoFrame.from_ndarray(image, format="rgb24"))


def feed_of(connection: Callable[[], Iterator[Decoded]], buffer_frames: int = 8, **options) -> LiveFeed:
    clock = options.pop("clock", time.monotonic)
    return LiveFeed("cam", connection, Patience(**{"timeout": 5.0, "reconnects": 0, **options}), buffer_frames, clock)


def play(feed: LiveFeed, rate: float | None = None, every: int = 1, after: int | None = None) -> list[DecodedFrame]:
    return list(feed.frames(SIZES, rate, every, 0, after))


class Overrun:
    """Frame 0, and when the reader has it, a number of others faster than anybody reads."""

    def __init__(self, others: int) -> None:
        self.others, self.released, self.sent = others, threading.Event(), threading.Event()

    def __call__(self) -> Iterator[Decoded]:
        frames = arriving(range(self.others + 1))
        yield next(frames)
        self.released.wait(5)
        yield from frames
        self.sent.set()

    def release(self) -> None:
        self.released.set()
        assert self.sent.wait(5)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datamodules.video.live, "_PAUSE", 0.01)


def test_what_nobody_was_ready_for_is_dropped_and_counted_before_the_next_frame() -> None:
    camera = Overrun(19)
    frames = feed_of(camera, buffer_frames=8).frames(SIZES, None, 1, 0, None)
    first = next(frames)
    camera.release()
    rest = list(frames)
    assert (first.number, first.dropped) == (0, 0)
    assert [(frame.number, frame.dropped) for frame in rest] == [(12, 11), *((n, 0) for n in range(13, 20))]
    assert [int(frame.student.mean()) for frame in rest] == list(range(12, 20))


def test_windows_say_how_many_frames_were_dropped_before_or_between_theirs() -> None:
    camera = Overrun(39)
    clip = Clip("cam", Path("cam"), (16, 16), 10.0, 0, 0, live=feed_of(camera, buffer_frames=12))
    source = SimpleNamespace(clips=[clip], skeleton=None, metric_width=None, together=1)
    loader = WindowLoader(source, StreamOptions(5, (8, 8), teacher_image_size=lambda size: (4, 4), teacher_every=3))
    with pytest.raises(TypeError):
        len(loader)
    with pytest.raises(UserError, match=r"stream\.path=cam: "):
        _ = loader.total_frames
    windows = []
    threading.Thread(target=camera.release).start()
    for window in loader:
        windows.append(window)
        assert camera.sent.wait(5)
    # How many were dropped hangs on the threads; that none is lost uncounted, and that the teacher has its pictures,
    # does not.
    assert sum((window.frames_dropped or 0) for window in windows) + sum(map(len, windows)) == 40
    assert np.concatenate([window.ids for window in windows]).tolist() == list(range(sum(map(len, windows))))
    for window in windows:
        [segment] = window.segments
        assert segment.teacher_images is not None
        assert segment.origin is not None
        assert segment.origin.path is None
        seen = segment.teacher_images.mean((1, 2, 3)).astype(int)
        assert seen.tolist() == segment.origin.numbers[window.candidates].tolist()
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_the_teacher_gets_pictures_of_the_right_frames_whatever_is_dropped() -> None:
    camera = Overrun(30)
    frames = feed_of(camera, buffer_frames=8).frames(SIZES, None, 3, 0, None)
    played = [next(frames)]
    camera.release()
    played += frames
    assert [frame.teacher is not None for frame in played] == [place % 3 == 0 for place in range(len(played))]


def test_a_lower_rate_goes_by_time_stamps_and_numbers_go_on_after_a_resumed_run() -> None:
    frames = play(feed_of(lambda: arriving(range(10)), buffer_frames=20), rate=5.0, after=99)
    assert [frame.number for frame in frames] == [100, 102, 104, 106, 108]


def test_a_run_that_goes_on_gets_new_frames_behind_its_last_window() -> None:
    clip = Clip("cam", Path("cam"), (16, 16), 10.0, 0, 0, live=feed_of(lambda: arriving(range(7)), buffer_frames=20))
    source = SimpleNamespace(clips=[clip], skeleton=None, metric_width=None, together=1)
    loader = WindowLoader(source, StreamOptions(5, (8, 8)))
    loader.load_state_dict({"window": 3, "frame": 15, "clip": 0, "source_frame": 40})
    windows = list(loader)
    assert [window.index for window in windows] == [3, 4]
    assert [window.ids.tolist() for window in windows] == [[15, 16, 17, 18, 19], [20, 21]]
    assert [window.segments[0].origin.numbers.tolist() for window in windows] == [[41, 42, 43, 44, 45], [46, 47]]


def test_a_lost_connection_is_tried_anew_so_often_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    asked = itertools.count()

    def breaking() -> Iterator[Decoded]:
        next(asked)
        yield from arriving(range(3))
        raise av.ExitError(1, "Immediate exit requested")

    with caplog.at_level(logging.INFO):
        frames = play(feed_of(breaking, buffer_frames=20, reconnects=2))
    assert [frame.number for frame in frames] == list(range(9))
    assert next(asked) == 3
    assert caplog.text.count("cam: lost (silent for 5 s)") == 3
    assert "cam: ended after 9 frames, 0 dropped" in caplog.text


def test_a_sender_that_ends_is_not_tried_anew() -> None:
    assert len(play(feed_of(lambda: arriving(range(3)), reconnects=5))) == 3


def test_without_a_frame_it_is_an_error() -> None:
    def refused() -> Iterator[Decoded]:
        raise UserError("stream.path=cam: cannot be opened")

    with pytest.raises(UserError, match=r"stream\.path=cam: "):
        play(feed_of(refused, reconnects=1))


def test_an_unforeseen_error_reaches_the_reader() -> None:
    def broken() -> Iterator[Decoded]:
        yield from arriving(range(2))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(feed_of(broken))


def test_time_is_up_by_the_clock() -> None:
    now = 100.0

    def filming() -> Iterator[Decoded]:
        nonlocal now
        for decoded in arriving(range(50)):
            yield decoded
            now += 0.1

    frames = play(feed_of(filming, buffer_frames=50, seconds=0.55, clock=lambda: now))
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4, 5]


def hanging() -> Iterator[Decoded]:
    yield from arriving(range(2))
    threading.Event().wait(20)


def test_a_driver_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    assert len(play(feed_of(hanging, timeout=0.1))) == 2
    assert "cam: no sign of life for 0.31 s" in caplog.text


def test_another_thread_can_end_it() -> None:
    feed = feed_of(hanging)
    threading.Timer(0.2, feed.stop).start()
    started = time.monotonic()
    assert len(play(feed)) == 2
    assert time.monotonic() - started < 3


def test_a_generated_picture_plays_like_a_camera() -> None:
    if "lavfi" not in av.formats_available:
        pytest.skip("this PyAV generates no pictures")
    source = LiveSource("testsrc=size=64x48:rate=20:duration=2", kind="lavfi", buffer_seconds=5)
    [clip] = source.clips
    assert (clip.frame_size, clip.rate, is_live(source)) == ((64, 48), 20.0, True)
    windows = list(WindowLoader(source, StreamOptions(15, (32, 32))))
    assert [len(window) for window in windows] == [15, 15, 10]
    assert [window.frames_dropped for window in windows] == [0, 0, 0]


def test_the_url_of_a_file_is_played_as_that_file(tmp_path: Path) -> None:
    write_counting(tmp_path / "my film.mp4", 30)
    with serving_files(tmp_path) as url:
        source = LiveSource(f"{url}/my%20film.mp4", timeout=5)
        [clip] = source.clips
        assert (clip.name, clip.start, clip.stop, is_live(source)) == ("my%20film.mp4", 0, 30, False)
        [window] = WindowLoader(source, StreamOptions(40, (16, 16)))
        assert [round(float(frame.float().mean()) / 4) for frame in window.frames] == list(range(30))
        assert window.segments[0].origin is not None
        assert window.segments[0].origin.path is None
        with pytest.raises(UserError, match=r"stream\.path=.*none\.mp4: "):
            LiveSource(f"{url}/none.mp4")


def test_a_server_that_stops_in_mid_stream_ends_it_without_an_error(tmp_path: Path) -> None:
    data = write_counting(tmp_path / "live.ts", 100, keyframes=5, kind="mpegts").read_bytes()
    leave = threading.Event()

    def send(client: BinaryIO) -> None:
        client.write(data[: len(data) * 3 // 4])
        client.flush()
        leave.wait(10)

    with serving_live(send) as url:
        source = LiveSource(f"{url}/live.ts", timeout=0.5, reconnects=0, buffer_seconds=100)
        started = time.monotonic()
        windows = list(WindowLoader(source, StreamOptions(25, (16, 16))))
        assert time.monotonic() - started < 3
        leave.set()
    played = sum(map(len, windows))
    assert 60 < played < 80
    levels = [round(float(frame.float().mean()) / 4) for window in windows for frame in window.frames]
    assert levels == [number % 60 for number in range(played)]


def test_a_url_that_never_sends_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(UserError, match=r"0\.3 s"):
            LiveSource(url, timeout=0.3)


def free_port(kind: int) -> int:
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_datagrams_that_cease_end_the_stream(tmp_path: Path) -> None:
    data = write_counting(tmp_path / "live.ts", 60, keyframes=5, kind="mpegts").read_bytes()
    port = free_port(socket.SOCK_DGRAM)

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for begin in range(0, len(data), 188 * 7):
                sender.sendto(data[begin : begin + 188 * 7], ("127.0.0.1", port))
                time.sleep(0.01)

    threading.Timer(0.3, send).start()
    source = LiveSource(f"udp://127.0.0.1:{port}", timeout=2, reconnects=0, kind="mpegts")
    played = [frame for clip in source.clips if clip.live for frame in clip.live.frames(SIZES, None, 1, 0, None)]
    assert 30 < len(played) <= 60


WRITER = """
import sys, time
import av, numpy as np
out = av.open(sys.argv[1], "w", format="rtsp", options={"rtsp_transport": "tcp"})
stream = out.add_stream("libx264", rate=25, options={"tune": "zerolatency", "g": "5"})
stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
for attempt in range(50):
    try:
        out.start_encoding()
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
for number in range(50):
    picture = np.full((48, 64, 3), 2 * number, np.uint8)
    out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    time.sleep(0.02)
out.close()
"""


@pytest.mark.slow
def test_rtsp_is_played_as_it_comes() -> None:
    if "rtsp" not in av.formats_available:
        pytest.skip("this PyAV has no RTSP")
    url = f"rtsp://127.0.0.1:{free_port(socket.SOCK_STREAM)}/camera"
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stderr=subprocess.DEVNULL) as writer:
        options = {"rtsp_flags": "listen", "listen_timeout": 20}
        source = LiveSource(url, timeout=10, reconnects=0, options=options)
        assert (source.clips[0].frame_size, source.clips[0].rate) == ((64, 48), 25.0)
        windows = list(WindowLoader(source, StreamOptions(20, (16, 16))))
        writer.wait(10)
    assert 40 < sum(map(len, windows)) <= 50


@pytest.mark.parametrize(
    ("values", "message"),
    [({"path": 93}, "stream.path=93: "),
     ({"path": __file__}, "path=.*stream=video")],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(values: dict, message: str) -> None:
    with pytest.raises((UserError, RefusedError), match=message):
        LiveSource(**values)


def test_options_of_ffmpeg_are_given_on_a_command_line() -> None:
    given = ["stream=live", "stream.path=0", "stream.options={video_size: 1280x720, input_format: mjpeg}"]
    assert compose_config("online", given).stream.options == {"video_size": "1280x720", "input_format": "mjpeg"}
