from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.plain_loop import PlainStream, Window, decode_windows, one_ahead
from datamodules.human36m import Human36mSource
from datamodules.stream import WindowLoader
from datamodules.windowing import StreamOptions
from pose_oad.online.window import reveal
from pose_oad.poses.geometry import FrameResize
from pose_oad.tracking.errors import UserError


@pytest.fixture
def stream(human36m_tree: Path) -> PlainStream:
    source = Human36mSource(str(human36m_tree), start=0.25)
    resize = FrameResize.of((64, 64), (48, 32), "letterbox")
    return PlainStream(source.clips, source.skeleton, resize, metric_scale=1.0, window_frames=25, decoder_threads=1)


def test_it_reads_what_the_stream_reads(human36m_tree: Path, stream: PlainStream) -> None:
    loader = WindowLoader(Human36mSource(str(human36m_tree), start=0.25), StreamOptions(25, (48, 32)))
    windows = list(decode_windows(stream))
    assert [len(frames) for frames, _ in windows] == [25, 25, 25]
    for (frames, truth), expected in zip(windows, loader, strict=True):
        assert torch.equal(frames, expected.frames)
        assert torch.equal(truth, reveal(expected)[:, 0])


def test_a_last_short_window_is_kept(stream: PlainStream) -> None:
    assert [len(frames) for frames, _ in decode_windows(replace(stream, window_frames=40))] == [40, 35]


def test_a_recording_without_truth_is_refused(stream: PlainStream) -> None:
    without = replace(stream, clips=[replace(clip, truth=None) for clip in stream.clips])
    with pytest.raises(UserError, match=r"Eating 2\.55011271 has no ground truth"):
        next(decode_windows(without))


def test_a_thread_stays_one_window_ahead_and_hands_its_errors_over() -> None:
    made: list[int] = []
    two = threading.Event()

    def windows() -> Iterator[Window]:
        for number in range(3):
            made.append(number)
            if number == 1:
                two.set()
            yield torch.tensor(number), torch.tensor(number)
        raise UserError("damaged")

    ahead = one_ahead(windows())
    assert int(next(ahead)[0]) == 0
    assert two.wait(5)
    assert made == [0, 1]  # the second is ready, the third not begun
    assert [int(next(ahead)[0]) for _ in range(2)] == [1, 2]
    with pytest.raises(UserError, match="damaged"):
        next(ahead)
