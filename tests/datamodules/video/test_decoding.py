from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from datamodules.video.decoding import FrameDecoder, Upright, open_video
from pose_oad.tracking.errors import UserError
from tests.videos import corners, damage, level, write_counting


def decode(path: Path) -> tuple[list[tuple[int, int]], FrameDecoder]:
    """Numbers and levels of a video's frames."""
    with open_video(path) as container:
        decoder = FrameDecoder(container)
        return [(decoded.number, level(decoded.frame)) for decoded in decoder], decoder


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("name", ["whole.mp4", "whole.mkv", "whole.ts", "whole.avi", "whole.h264"])
def test_whole_videos_of_any_container_are_numbered_as_they_are_shown(tmp_path: Path, name: str, b_frames: int) -> None:
    read, decoder = decode(write_counting(tmp_path / name, b_frames=b_frames, keyframes=8))
    assert read == [(number, number) for number in range(24)]
    assert (decoder.damaged, decoder.packets, decoder.error) == (0, 24, None)


@pytest.mark.parametrize("name", ["damaged.mp4", "damaged.mkv"])
def test_lost_frames_leave_the_numbers_of_the_others_as_they_are(tmp_path: Path, name: str) -> None:
    path = write_counting(tmp_path / name)
    damage(path, [0, 5, 6, 23])
    read, decoder = decode(path)
    assert read == [(number, number) for number in range(24) if number not in (0, 5, 6, 23)]
    assert (decoder.damaged, decoder.number) == (4, 22)
    assert decoder.error is not None


def test_a_lost_frame_among_reordered_ones_is_told_by_its_time_stamp(tmp_path: Path) -> None:
    path = write_counting(tmp_path / "b.mp4", b_frames=3, keyframes=8)
    with av.open(str(path)) as container:
        shown = [frame.pict_type for frame in container.decode(video=0)].index(PictureType.B.value)
    damage(path, [shown])
    read, decoder = decode(path)
    assert [number for number, _ in read] == [number for number in range(24) if number != shown]
    assert [seen for _, seen in read] == [number for number, _ in read]
    assert decoder.damaged == 1


def test_frames_that_an_edit_list_hides_are_not_there(tmp_path: Path) -> None:
    path = write_counting(tmp_path / "edited.mp4", b_frames=3, keyframes=24)
    data = path.read_bytes()
    place = data.index(b"elst")
    # version and flags, number of entries, duration, start in the medium's time: 25 frames/s at 12800 units/s
    start = int.from_bytes(data[place + 16 : place + 20], "big") + 10 * 512
    path.write_bytes(data[: place + 16] + start.to_bytes(4, "big") + data[place + 20 :])
    read, decoder = decode(path)
    assert [seen for _, seen in read] == list(range(10, 24))
    assert [number for number, _ in read] == list(range(14))
    assert (decoder.damaged, decoder.packets) == (0, 14)


def test_time_stamps_count_from_the_start_of_the_video(tmp_path: Path) -> None:
    path = write_counting(tmp_path / "late.mp4", 4, stamps_ms=[700, 733, 900, 1400])
    with open_video(path) as container:
        seconds = [decoded.seconds for decoded in FrameDecoder(container)]
    assert seconds == pytest.approx([0, 0.033, 0.2, 0.7], abs=1e-4)


@pytest.mark.parametrize(
    ("degrees", "mirrored"), list(itertools.product([0, 90, 180, 270], [False, True]))
)  # fmt: skip
def test_turned_and_mirrored_videos_are_shown_upright(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv444p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(corners(), format="rgb24")))
        container.mux(stream.encode())
    with open_video(path) as container:
        frames = [decoded.frame for decoded in FrameDecoder(container)]
    turned = np.rot90(corners(), degrees // 90)
    expected = turned[:, ::-1] if mirrored else turned
    assert len(frames) == 3
    shown = frames[-1].to_ndarray(format="rgb24")
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 8


def test_an_upright_frame_passes_untouched() -> None:
    frame = av.VideoFrame.from_ndarray(corners(), format="rgb24")
    assert Upright()(frame) is frame


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.mp4: "):
        open_video(tmp_path / "none.mp4")
    with pytest.raises(UserError, match=r"source=tcp://127\.0\.0\.1:1: "):
        open_video("tcp://127.0.0.1:1", 1.0, "source=tcp://127.0.0.1:1")
    write_sound(tmp_path / "sound.mp4")
    with pytest.raises(UserError, match=r"sound.mp4: "):
        open_video(tmp_path / "sound.mp4")


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_text_is_no_video_whatever_its_name(tmp_path: Path) -> None:
    for name in ("notes.txt", "notes.nfo", "notes.mp4"):
        (tmp_path / name).write_text("one line of a note\n" * 200)
        with pytest.raises(UserError, match=rf"{name}: "):
            open_video(tmp_path / name)
