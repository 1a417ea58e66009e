"""Clocks that charge: a trainer works off one window after another while the camera goes on.

Arguments of clocks stand beside those of :class:`ChargingClock`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pose_oad.online.clocks.base import Charge, Clock, Work
from pose_oad.online.clocks.device import Device, total_s
from pose_oad.tracking.schema import Count, NotNegative, Positive

#: What becomes of a window that is complete while the trainer is busy: ``newest`` keeps the latest that waits, ``skip``
#: none, ``queue`` so many.
LatePolicy = Literal["newest", "skip", "queue"]
#: Whether training has a machine of its own or a share of the student's.
Placement = Literal["separate", "shared"]


# Types stand here as such, not as text: the arguments of subclasses elsewhere are held against them too.
@dataclass(eq=False, repr=False, kw_only=True)
class ChargingClock(Clock):
    """Let a trainer take time: ready = max(the window's end, free) + what its parts take.

    Weights serve the frames that arrive from then on. Whether the latest window that waits is replaced is known when
    the next one is complete, which is taken to be as long.

    Args:
        late: what becomes of a window that is complete while the trainer is busy
        queue: how many windows may wait under ``late=queue``
        placement: ``separate`` machines, or one that is ``shared``
        share: the student's part of a shared machine, in (0, 1); the trainer has the rest

    Attributes:
        free_s: time of the stream at which the trainer is free, s
        starts: when it begins each window that may still wait, s
        windows: how many windows it has been charged for
    """

    late: LatePolicy = "newest"
    queue: Count = 2
    placement: Placement = "separate"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    free_s: float = field(default=0.0, init=False)
    starts: list[float] = field(default_factory=list, init=False)
    windows: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        shared = self.placement == "shared"
        self.serving_share, self.training_share = (self.share, 1 - self.share) if shared else (1.0, 1.0)

    def admits(self, opened_s: float, closed_s: float) -> bool:
        """Return whether the trainer comes to a window that is complete now."""
        self.starts = [start for start in self.starts if start > closed_s]
        if self.late == "newest":
            return self.free_s < 2 * closed_s - opened_s
        return self.free_s <= closed_s or (self.late == "queue" and len(self.starts) < self.queue)

    def parts(self, work: Work) -> Mapping[str, float]:
        """Return how long each part of a window's work takes, s, by name."""
        raise NotImplementedError

    def charge(self, work: Work) -> Charge:
        """Add a window to what the trainer does."""
        start, parts = max(work.closed_s, self.free_s), dict(self.parts(work))
        self.windows += 1
        self.free_s = start + sum(parts.values())
        self.starts.append(start)
        return Charge(self.free_s, start, parts)

    def state_dict(self) -> dict[str, Any]:
        """Return what the trainer is busy with."""
        return {"free_s": self.free_s, "starts": self.starts, "windows": self.windows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.free_s, self.starts, self.windows = state["free_s"], list(state["starts"]), state["windows"]


@dataclass(eq=False, repr=False, kw_only=True)
class MeasuredClock(ChargingClock):
    """Charge the seconds that a window took on this machine.

    Args:
        scale: how many times slower the machine of the run is
        student_s: the student's time for a frame, s; None: poses are there when the frame is
    """

    scale: Positive = 1.0
    student_s: NotNegative | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.student_s = None if self.student_s is None else self.student_s / self.serving_share

    def parts(self, work: Work) -> Mapping[str, float]:
        """Return the seconds of this machine, slower by the scale."""
        phases = {"select": "query", "teacher": "label", "train": "train"}
        parts = {part: self.scale * work.seconds.get(phase, 0.0) for part, phase in phases.items()}
        return parts | {"train": parts["train"] / self.training_share}


@dataclass(eq=False, repr=False)
class ProfileClock(ChargingClock):
    """Charge what labels and steps take on a device that is described.

    Args:
        device: the device
        batch_size: frames in an optimiser step
        scale: how many times slower than described its processor is; sending is as fast as described
        seed: draws of measured times
    """

    device: Device
    batch_size: Count
    scale: Positive = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.student_s = self.scale * float(np.mean(self.device.student_s)) / self.serving_share

    def parts(self, work: Work) -> Mapping[str, float]:
        """Return what the device takes; nothing is sent where nothing is asked or trained."""
        device, scale, seed = self.device, self.scale, self.seed + 2 * self.windows
        step_s = total_s(device.train_frame_s, work.steps * self.batch_size, seed + 1) / self.training_share
        moved = bool(work.steps)
        return {
            "select": scale * device.select_s,
            "up": work.asked * device.up_s + (device.round_trip_s if work.asked else 0.0),
            "teacher": scale * total_s(device.teacher_s, work.asked, seed),
            "train": scale * step_s,
            "down": moved * device.down_s,
            "swap": scale * moved * device.swap_s,
        }

    def charge(self, work: Work) -> Charge:
        """Add a window to what the trainer does."""
        charge, device = super().charge(work), self.device
        traffic = {"up": float(work.asked * device.frame_bytes), "down": float(bool(work.steps) * device.update_bytes)}
        busy = charge.parts["teacher"] + charge.parts["train"]
        joules = float("nan") if device.watts is None else device.watts * busy
        return Charge(charge.ready_s, charge.started_s, charge.parts, traffic, joules)
