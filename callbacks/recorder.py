"""The stage that records: a row of the ledger and one call to the tracking store per window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightning.pytorch.loggers import Logger

from callbacks.ledger import Ledger, row_of
from callbacks.observer import Observer
from callbacks.timing import Timing
from pose_oad.online.record import WindowRecord
from pose_oad.online.stopwatch import Stopwatch

#: Is shown a window's row when it has been logged; what it raises ends the run.
Watcher = Callable[[Mapping[str, Any]], None]


class Recorder:
    """Ask every observer about a window, then write down what they say.

    The stream's frame number is the axis on which runs of different rates line up; Lightning's own, optimiser steps, is
    not.

    Args:
        observers: who has figures, in the order in which they stand in a row
        timing: what the window cost
        ledger: keeps the rows
        logger: is sent the figures of a window at the number of its last frame
        watchers: who else is shown the row
        logged: largest step that has been logged already, by the run that is gone on with
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        timing: Timing,
        ledger: Ledger,
        logger: Logger,
        watchers: Sequence[Watcher] = (),
        logged: int = -1,
    ) -> None:
        self.observers, self.timing, self.ledger = observers, timing, ledger
        self._logger, self._watchers, self._logged = logger, watchers, logged

    @property
    def watch(self) -> Stopwatch:
        """Where the time of the loop goes."""
        return self.timing.watch

    def __call__(self, record: WindowRecord) -> None:
        """Record a window.

        Raises:
            UnwritableError: if it cannot be written, as on a full disk.
        """
        figures: dict[str, float] = {}
        with self.watch("evaluate"):
            for observer in self.observers:
                figures |= observer.window_closed(record)
        plan = record.plan
        figures |= {"trigger/label_budget": plan.label_budget, "trigger/steps": record.training.steps}
        figures |= {"trigger/fired": float(plan.fired)} | self.timing.window_closed(record)
        row = row_of(record.window, record.choice.positions, figures)
        with self.watch("log"):
            self.ledger.append(row)
            if row["last_frame"] > self._logged:
                finite = {name: value for name, value in figures.items() if math.isfinite(value)}
                self._logger.log_metrics(finite, step=row["last_frame"])
        for watcher in self._watchers:
            watcher(row)
