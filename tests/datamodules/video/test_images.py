from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.video.images import common_size, decode_image, image_size, list_images, read_images
from pose_oad.tracking.errors import UserError


def write_image(path: Path, blue: int, size: tuple[int, int] = (20, 12)) -> None:
    ok, data = cv2.imencode(path.suffix.lower(), np.full((size[1], size[0], 3), (blue, 0, 0), np.uint8))
    assert ok
    path.write_bytes(data.tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, blue in (("img_2.png", 20), ("img_10%03d.jpg", 200), ("img_1.JPEG", 90)):
        write_image(tmp_path / name, blue)
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_images_come_in_natural_order_each_as_it_is(folder: Path) -> None:
    names = [path.name for path in list_images(folder)]
    assert names == ["img_1.JPEG", "img_2.png", "img_10%03d.jpg"]
    read = list(read_images(folder, names, 12.5))
    assert [(decoded.number, decoded.seconds) for decoded in read] == [(0, 0.0), (1, 0.08), (2, 0.16)]
    blue = [decoded.frame.to_ndarray(format="rgb24")[6, 10, 2] for decoded in read]
    assert blue == pytest.approx([90, 20, 200], abs=3)


def test_names_without_numbers_and_with_leading_zeros_have_an_order_too(tmp_path: Path) -> None:
    for name in ("b.png", "01.png", "1.png", "a.png", "2.png"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["01.png", "1.png", "2.png", "a.png", "b.png"]


def test_images_of_a_stream_are_of_one_size(folder: Path) -> None:
    assert common_size(list_images(folder)) == (20, 12)
    write_image(folder / "img_3.png", 0, (12, 20))
    with pytest.raises(UserError, match=r"img_3.png: 12x20 px, expected 20x12 px"):
        common_size(list_images(folder))


def test_what_is_no_image_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "img_2.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"img_2.png: "):
        decode_image(folder / "img_2.png")
    with pytest.raises(UserError, match=r"img_2.png: "):
        image_size(folder / "img_2.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"stream.path=.*empty: "):
        list_images(tmp_path / "empty", "stream.path")
