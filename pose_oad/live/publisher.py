"""The loop's link to the service: it publishes weights, takes those that a user goes back to, and reports windows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

import cv2
import numpy as np
from lightning import LightningModule, Trainer

from callbacks.observer import Observer
from pose_oad.live.clock import ServiceClock
from pose_oad.live.feed import Link, ServedFeed
from pose_oad.live.mailbox import Mailbox
from pose_oad.online.distillation import as_distillation
from pose_oad.online.loop import Loop
from pose_oad.online.record import WindowRecord
from pose_oad.online.window import FrameWindow

#: What became of a window's weights.
Gate = Literal["published", "refused", "diverged", "not trained", "gone back"]

_SHOWN = 8  # chosen frames of a window


class Publisher(Observer):
    """Publish what the loop publishes, to another process.

    Args:
        mailbox: takes the weights
        link: to the server
    """

    def __init__(self, mailbox: Mailbox, link: Link) -> None:
        self.mailbox, self.link = mailbox, link
        self._loop: Loop | None = None
        self._feed: ServedFeed | None = None
        self._said: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the loop, and tell its clock when frames arrive."""
        self._loop = as_distillation(pl_module).loop
        source = trainer.datamodule.loader.source  # type: ignore[attr-defined]
        clock, feed = self._loop.clock, getattr(source, "feed", None)
        if isinstance(clock, ServiceClock) and isinstance(feed, ServedFeed):
            clock.newest, clock.rate, self._feed = feed.newest, source.clips[0].rate, feed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin a window: with the weights that a user has gone back to, if he has."""
        self._go_back()
        self.link.say("busy")

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Publish a window's weights, unless a gate has refused them or a user has gone back meanwhile."""
        if self._loop is None:
            return {}
        gate: Gate = "not trained"
        if self._go_back():
            gate = "gone back"
        elif record.ready_s is not None:
            gate = "published"
            self.mailbox.publish(self._loop.learner.serving, record.window.index)
        elif record.training.steps:
            gate = "diverged" if record.training.rejected else "refused"
        self._said = {"gate": gate, "chosen": _thumbnails(record)} | self._times(record.window)
        return {"live/generation": float(self.mailbox.generation())}

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Report a window that has been recorded."""
        self.link.say("window", row=dict(row), **self._said)

    def _times(self, window: FrameWindow) -> dict[str, float]:
        """Return how long ago a window was full, s, and how long that is before the next one is."""
        taken_s = None if self._feed is None else self._feed.arrived(int(window.ids[-1]))
        if taken_s is None:
            return {}
        since = time.monotonic() - taken_s - 1 / window.rate
        return {"taken_s": since, "slack_s": len(window) / window.rate - since}

    def _go_back(self) -> bool:
        """Take on the weights that a user has gone back to; return whether there were any."""
        back, loop = self.mailbox.taken_back(), self._loop
        if back is None or loop is None:
            return False
        learner = loop.learner
        learner.student.load_state_dict(dict(back.weights))
        learner.average.started(learner.student)
        version = {"ready_s": 0.0, "weights": dict(back.weights), "foreground": back.foreground}
        loop.weights.load_state_dict({"served": version, "pending": []})
        return True


def _thumbnails(record: WindowRecord) -> list[tuple[int, bytes]]:
    """Return the chosen frames, as the student sees them: number in the stream and a JPEG file."""
    positions, frames = record.choice.positions[:_SHOWN], record.window.frames
    pictures = [np.ascontiguousarray(frames[int(position)].numpy()[..., ::-1]) for position in positions]
    files = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
    return list(zip(record.window.ids[positions].tolist(), files, strict=True))
