"""What labels, steps and frames take on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pose_oad.tracking.schema import NotNegative, Number, Positive, Text

#: A time in seconds, or times that were measured, of which one is drawn.
Seconds = NotNegative | Annotated[list[NotNegative], Field(min_length=1)]


@dataclass(frozen=True)
class Device:
    """A camera's computer, and what it is connected with.

    Attributes:
        name: what it is called
        kind: ``measured`` here, ``published`` by others, or an ``estimate``; training times are estimates where they
            are not measured
        source: where the figures come from
        student_s: the student's forward pass with decoding, of a frame
        teacher_s: the teacher, of a frame
        train_frame_s: an optimiser step, per frame in it
        select_s: choosing frames, of a window
        swap_s: putting new weights in place
        frame_bytes: a frame that is sent to the teacher; 0 where the teacher is on the device
        update_bytes: new weights that are sent back; 0 likewise
        up_mbit_s: bandwidth towards the teacher, Mbit/s; None where nothing is sent
        down_mbit_s: bandwidth back, likewise
        round_trip_s: time that a message and its answer take
        watts: power while it labels and trains; None where it is not known
    """

    name: Text
    kind: Literal["measured", "published", "estimate"]
    source: Text
    student_s: Seconds
    teacher_s: Seconds
    train_frame_s: Seconds
    select_s: NotNegative = 0.0
    swap_s: NotNegative = 0.0
    frame_bytes: Number = 0
    update_bytes: Number = 0
    up_mbit_s: Positive | None = None
    down_mbit_s: Positive | None = None
    round_trip_s: NotNegative = 0.0
    watts: Positive | None = None

    @property
    def up_s(self) -> float:
        """Time to send a frame up, s."""
        return 0.0 if self.up_mbit_s is None else self.frame_bytes * 8e-6 / self.up_mbit_s

    @property
    def down_s(self) -> float:
        """Time to send new weights down, s."""
        return 0.0 if self.down_mbit_s is None else self.update_bytes * 8e-6 / self.down_mbit_s


def total_s(taken: float | list[float], times: int, seed: int) -> float:
    """Return how long something takes that is done so many times, s; samples are drawn the same for a seed."""
    if not isinstance(taken, list):
        return taken * times if times else 0.0
    return float(np.random.default_rng(seed).choice(taken, times).sum())
