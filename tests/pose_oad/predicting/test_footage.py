from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame

from pose_oad.errors import UserError
from pose_oad.geometry import FrameFit
from pose_oad.predicting.footage import decode_image, list_images, open_images, open_live, read_batches


def grey(level: int, size: tuple[int, int]) -> VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), level, np.uint8), format="rgb24")


def letterbox(frame_size: tuple[int, int]) -> FrameFit:
    return FrameFit.of(frame_size, (16, 16), "letterbox")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, blue in (("b.png", 20), ("a%03d.jpg", 200), ("c.JPEG", 90)):
        ok, data = cv2.imencode(Path(name).suffix.lower(), np.full((12, 20, 3), (blue, 0, 0), np.uint8))
        assert ok
        (tmp_path / name).write_bytes(data.tobytes())
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_images_come_sorted_by_name_each_as_it_is(folder: Path) -> None:
    paths = list_images(folder)
    assert [path.name for path in paths] == ["a%03d.jpg", "b.png", "c.JPEG"]
    footage = open_images(paths, 12.5)
    assert (footage.size, footage.rate, footage.frames, footage.live) == ((20, 12), Fraction(25, 2), 3, False)
    blue = [frame.to_ndarray(format="rgb24")[6, 10, 2] for frame in footage.read()]
    assert blue == pytest.approx([200, 20, 90], abs=3)


def test_what_is_no_image_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "b.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"b.png: cannot be decoded as an image"):
        decode_image(folder / "b.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: expected a folder with images in it"):
        list_images(tmp_path / "empty")


def test_a_camera_or_url_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="source=93: cannot be opened as a camera or a URL"):
        open_live("93")
    with pytest.raises(UserError, match=r"source=file:///nowhere.mp4: cannot be opened"):
        open_live("file:///nowhere.mp4")


def test_batches_hold_each_frame_as_every_reader_wants_it() -> None:
    frames = [grey(100, (32, 16)), grey(150, (32, 16)), grey(200, (8, 16))]
    batches = list(read_batches(iter(frames), [letterbox, lambda size: None], 2, keep_pictures=True))
    assert [(batch.first, batch.sizes) for batch in batches] == [(0, [(32, 16)] * 2), (2, [(8, 16)])]
    assert [len(batch.inputs[1]) for batch in batches] == [0, 0]
    wide, _ = batches[0].inputs[0]
    assert wide.shape == (16, 16, 3)
    assert (wide[4:12] == 100).all()  # 16 of 32 px make 8 rows between bars of 4
    assert not wide[:4].any()
    assert not wide[12:].any()
    tall = batches[1].inputs[0][0]
    assert (tall[:, 4:12] == 200).all()
    assert not tall[:, :4].any()
    assert batches[0].pictures == frames[:2]


def test_pictures_are_not_kept_where_nobody_draws() -> None:
    [batch] = read_batches(iter([grey(1, (8, 8))]), [letterbox], 4, keep_pictures=False)
    assert batch.pictures == []
