from __future__ import annotations

import av
import numpy as np
from av.video.frame import VideoFrame

from pose_oad.poses.geometry import FrameResize
from pose_oad.predict.batches import read_batches


def grey(level: int, size: tuple[int, int]) -> VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), level, np.uint8), format="rgb24")


def letterbox(frame_size: tuple[int, int]) -> FrameResize:
    return FrameResize.of(frame_size, (16, 16), "letterbox")


def test_batches_hold_each_frame_as_every_reader_wants_it() -> None:
    frames = [grey(100, (32, 16)), grey(150, (32, 16)), grey(200, (8, 16))]
    batches = list(read_batches(enumerate(frames), [letterbox, lambda size: None], 2, keep_pictures=True))
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
    [batch] = read_batches(enumerate([grey(1, (8, 8))]), [letterbox], 4, keep_pictures=False)
    assert batch.pictures == []


def test_a_batch_ends_where_numbers_do_not_follow_each_other() -> None:
    numbers = [0, 1, 4, 5, 6, 7, 9]
    batches = read_batches(((n, grey(n, (8, 8))) for n in numbers), [letterbox], 3, keep_pictures=False)
    assert [(batch.first, [int(image.mean()) for image in batch.inputs[0]]) for batch in batches] == [
        (0, [0, 1]), (4, [4, 5, 6]), (7, [7]), (9, [9])
    ]  # fmt: skip
