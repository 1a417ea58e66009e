"""The newest frame wins; a camera that is gone and back goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import BinaryIO

import pytest

from pose_oad.live import camera as module
from pose_oad.live.camera import Camera, CameraOptions
from pose_oad.tracking.errors import RefusedError, UserError
from pose_oad.tracking.schema import build_options
from tests.servers import serving_live
from tests.videos import level, write_counting


def test_whoever_is_slow_gets_the_newest_frame_and_the_others_are_counted(tmp_path: Path) -> None:
    camera = Camera(CameraOptions(str(write_counting(tmp_path / "film.mp4", count=30, rate=50))))
    camera.start()
    numbers = []
    while (moment := camera.newest(5.0)) is not None:
        assert level(moment.frame) == moment.number
        numbers.append(moment.number)
        time.sleep(0.09)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 29
    assert camera.skipped == 30 - len(numbers)
    assert camera.skipped > 5
    assert camera.state == "ended"


def test_a_file_plays_at_its_own_rate_and_begins_again_where_it_is_looped(tmp_path: Path) -> None:
    film = write_counting(tmp_path / "film.mp4", count=10, rate=20)
    camera = Camera(CameraOptions(str(film), loop=True, seconds=1.2))
    begun = time.monotonic()
    camera.start()
    numbers = []
    while (moment := camera.newest(5.0)) is not None:
        numbers.append(moment.number)
    seconds = time.monotonic() - begun
    assert seconds > 1.1
    assert 10 < numbers[-1] <= 20 * seconds + 1  # beyond the file's ten frames, and no faster than filmed
    assert camera.rate == 20


def test_a_camera_that_is_gone_and_back_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    data = write_counting(tmp_path / "film.ts", count=12, kind="mpegts").read_bytes()

    def send(file: BinaryIO) -> None:
        file.write(data)  # and hangs up

    with serving_live(send) as url:
        camera = Camera(CameraOptions(f"{url}/live.ts"))
        camera.start()
        numbers = []
        while camera.lost < 2 or len(numbers) < 10:
            moment = camera.newest(10.0)
            assert moment is not None
            numbers.append(moment.number)
        camera.stop()
    assert numbers == sorted(set(numbers))


def test_what_cannot_be_watched_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="path=nowhere"):
        Camera(CameraOptions("nowhere"))
    with pytest.raises(UserError, match=r"camera\.rate=-1"):
        build_options(CameraOptions, {"path": "0", "rate": -1}, "camera")
