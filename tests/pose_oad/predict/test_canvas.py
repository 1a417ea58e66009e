from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from pose_oad.predict.canvas import BLACK, WHITE, Canvas, even, to_yuv

RED = to_yuv(255, 0, 0)


def noise(width: int, height: int) -> av.VideoFrame:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


def luma(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray(format="gray", width=frame.width, height=frame.height)


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    return [
        np.frombuffer(bytes(p), np.uint8).reshape(p.height, p.line_size)[:, : p.width].astype(int) for p in frame.planes
    ]


def test_colours_are_those_of_limited_range_video() -> None:
    assert (BLACK, WHITE) == ((16, 128, 128), (235, 128, 128))
    assert RED == (81, 90, 240)


@pytest.mark.parametrize(("size", "padded"), [((10, 8), (10, 8)), ((9, 7), (10, 8))])
def test_a_picture_is_shown_as_it_is_and_an_odd_edge_is_repeated(
    size: tuple[int, int], padded: tuple[int, int]
) -> None:
    assert even(size) == padded
    source = noise(*size).reformat(format="yuv420p", dst_color_range="MPEG", interpolation="AREA")
    canvas, frame = Canvas.new(padded)
    canvas.paste(source, (0, 0, *size), VideoReformatter())
    y, u, v = planes(frame)
    for shown, original in zip((y[: size[1], : size[0]], u, v), planes(source), strict=True):
        np.testing.assert_array_equal(shown, original)
    np.testing.assert_array_equal(y[:, -1], np.append(y[: size[1], size[0] - 1], [y[-1, -1]] * (padded[1] - size[1])))
    np.testing.assert_array_equal(y[-1], y[size[1] - 1])


def test_a_smaller_picture_lies_between_bars() -> None:
    canvas, frame = Canvas.new((16, 8))
    canvas.paste(noise(4, 4), (4, 0, 8, 8), VideoReformatter())
    y, u, _ = planes(frame)
    assert (y[:, :4] == 16).all()
    assert (y[:, 12:] == 16).all()
    assert (u[:, :2] == 128).all()
    assert y[:, 4:12].std() > 5


def test_a_dot_lies_where_it_should_in_all_planes() -> None:
    canvas, frame = Canvas.new((64, 32))
    canvas.strokes(np.array([[[40.0, 12.0], [40.0, 12.0]]]), RED, 6)
    for plane, s, background in zip(planes(frame), (1, 2, 2), BLACK, strict=True):
        weight = np.abs(plane - background)
        rows, columns = np.indices(plane.shape)
        centre = [((index + 0.5) * weight).sum() / weight.sum() * s for index in (columns, rows)]
        assert centre == pytest.approx([40, 12], abs=0.3)
    assert [plane.flat[np.abs(plane - b).argmax()] for plane, b in zip(planes(frame), BLACK, strict=True)] == list(RED)


def test_a_part_keeps_what_is_drawn_on_it_inside() -> None:
    canvas, frame = Canvas.new((32, 16))
    part = canvas.part(16, 16)
    assert part.size == (16, 16)
    part.strokes(np.array([[[-20.0, 8.0], [15.0, 8.0]]]), RED, 2)
    y = planes(frame)[0]
    assert (y[:, :16] == 16).all()
    assert (y[8, 16:31] > 40).all()
    part.strokes(np.zeros((0, 2, 2)), RED, 2)


def test_text_fits_its_part_and_says_where_it_ends() -> None:
    canvas, frame = Canvas.new((200, 60))
    part = canvas.part(0, 100)
    right, bottom = part.text("short", 0, 0, 12)
    y = planes(frame)[0]
    assert y[:bottom, :right].max() == 235
    assert (y[bottom:] == 16).all()
    longest, _ = part.text("a very long name of a checkpoint that somebody chose", 0, 30, 12)
    assert longest <= 100
    assert (planes(frame)[0][:, 100:] == 16).all()
