"""Frames on their way to the adapter: nobody waits for it, and it gets what it asked for."""

from __future__ import annotations

import multiprocessing
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from av.video.frame import VideoFrame
from lightning import LightningModule, Trainer

from datamodules.stream import StreamDataModule, WindowLoader
from datamodules.video.clips import Clip, FrameSizes
from datamodules.windowing import StreamOptions
from pose_oad.live import feed as module
from pose_oad.live.camera import Moment
from pose_oad.live.feed import Link, ServedFeed, ServedSource, ServerGoneError
from pose_oad.live.handover import Handover, Wish


def picture(number: int) -> tuple[Moment, np.ndarray]:
    frame = VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), format="rgb24")
    return Moment(number, frame, float(number)), np.full((24, 32, 3), number, np.uint8)


def wish_of(connection: Connection) -> Wish:
    kind, values = connection.recv()
    assert kind == "wish"
    return Wish(**values)


def test_frames_arrive_with_a_picture_for_the_teacher_where_it_wants_one() -> None:
    ours, its = multiprocessing.Pipe()
    feed, handover = ServedFeed(Link(its)), Handover(ours, 10)
    handover.start()
    handover.give(*picture(0))  # nobody has asked yet
    frames = feed.frames(FrameSizes((32, 24), (64, 48)), None, 2, 5, None)
    handover.begin(Wish((64, 48), 2, 5))
    for number in range(1, 5):
        handover.give(*picture(number))
    handover.close()
    received = list(frames)
    assert wish_of(ours) == Wish((64, 48), 2, 5)
    assert [frame.number for frame in received] == [1, 2, 3, 4]
    # The stream begins with number 5: the teacher wants the even ones.
    assert [frame.teacher is not None for frame in received] == [False, True, False, True]
    assert received[1].teacher is not None
    assert received[1].teacher.shape == (48, 64, 3)
    assert all((frame.student == frame.number).all() for frame in received)
    assert feed.arrived(6) == 2.0
    assert feed.arrived(4) is None


def test_whoever_gives_never_waits_and_what_is_too_much_is_dropped_and_counted() -> None:
    ours, its = multiprocessing.Pipe()
    handover = Handover(ours, 3)
    handover.begin(Wish(None, 1, 0))
    begun = time.monotonic()
    for number in range(10):
        handover.give(*picture(number))
    assert time.monotonic() - begun < 1
    assert handover.dropped == 7
    handover.start()
    handover.close()
    messages = [its.recv() for _ in range(4)]
    assert [message and message[0] for message in messages] == [7, 8, 9, None]
    assert [message[2] for message in messages[:3]] == [7, 0, 0]
    handover.paused = True
    handover.give(*picture(10))
    assert handover.dropped == 7


def test_the_end_of_the_server_ends_the_run_without_finishing_it() -> None:
    ours, its = multiprocessing.Pipe()
    frames = ServedFeed(Link(its)).frames(FrameSizes((32, 24)), None, 1, 0, None)
    ours.send((0, 0.0, 0, np.zeros((24, 32, 3), np.uint8), None))
    assert next(frames).number == 0
    ours.close()
    with pytest.raises(ServerGoneError):
        next(frames)


def test_a_stream_is_cut_into_windows_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, its = multiprocessing.Pipe()
    monkeypatch.setattr(module, "own_link", lambda: Link(its))
    source = ServedSource("camera", 64, 48, 10.0)
    for number in range(7):
        ours.send((number, float(number), 2 * (number == 5), np.full((24, 32, 3), number, np.uint8), None))
    ours.send(None)
    windows = list(WindowLoader(source, StreamOptions(4, (32, 32))))
    assert [len(window) for window in windows] == [4, 3]
    assert [window.frames_dropped for window in windows] == [0, 2]
    assert windows[1].frames[0, 16, 16, 0] == 4
    assert wish_of(ours) == Wish(None, 1, 0)


def test_a_window_is_worked_on_as_soon_as_it_is_full() -> None:
    ours, its = multiprocessing.Pipe()
    clip = Clip("camera", Path("camera"), (64, 48), 10.0, 0, 0, live=cast(Any, ServedFeed(Link(its))))
    source = SimpleNamespace(clips=[clip], skeleton=None, metric_width=None, together=1)
    for number in range(4):
        ours.send((number, 0.0, 0, np.zeros((24, 32, 3), np.uint8), None))
    begun, worked = time.monotonic(), list[float]()
    never = threading.Timer(5.0, ours.send, [None])  # the frames of a second window do not come
    never.start()

    class Module(LightningModule):
        automatic_optimization = False

        def training_step(self, batch: object, batch_idx: int) -> None:
            worked.append(time.monotonic() - begun)

        def configure_optimizers(self) -> None:
            return None

    data = StreamDataModule(cast(Any, source), StreamOptions(4, (32, 32)))
    Trainer(max_epochs=1, logger=False, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False).fit(Module(), datamodule=data)  # fmt: skip
    assert len(worked) == 1
    assert worked[0] < 4.5
