"""What adapting to a stream costs on the images that the student was pre-trained for."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer

from callbacks.observer import Observer
from pose_oad.offline.source_domain import ValidationData, evaluate_on_source
from pose_oad.online.distillation import OnlineDistillation, as_distillation
from pose_oad.online.record import WindowRecord
from pose_oad.tracking.errors import check


class Retention(Observer):
    """Evaluate the student on a fixed validation set of its source domain before, during and after the stream.

    A window's measurement is taken after the training on it and logged with it, timed as ``retention``.

    Args:
        data: the validation set; it is set up here
        every: windows between two measurements during the stream; None measures before and after it only
        images: only so many images, the first ones; None takes all

    Raises:
        UserError: if a number is out of range, or the data cannot be used.
    """

    def __init__(self, data: ValidationData, every: int | None = None, images: int | None = None) -> None:
        for key, value in (("every", every), ("images", images)):
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            check(value is None or whole, f"retention.{key}", value, "a whole number, 1 or more, or null")
        self.data, self.every, self.images = data, every, images
        self._before: dict[str, float] = {}
        self._after: dict[str, float] = {}
        self._current = True
        self._trainer: Trainer
        self._module: OnlineDistillation
        data.setup("validate")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the student as it is before the stream."""
        self._trainer, self._module = trainer, as_distillation(pl_module)
        self._before = self._after = self._measure()

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Measure the student after a window, if it is its turn or the last."""
        turn = self.every is not None and (record.window.index + 1) % self.every == 0
        self._current = turn or self._trainer.is_last_batch
        if not self._current:
            return {}
        with self._module.loop.watch("retention"):
            self._after = self._measure()
        return {f"retention/{name}": value for name, value in self._after.items()}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the final student where the stream was shorter than announced."""
        if not self._current:
            self._after = self._measure()

    def state_dict(self) -> dict[str, Any]:
        """Return what has been measured."""
        return {"before": self._before, "after": self._after, "current": self._current}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from measurements returned by :meth:`state_dict`."""
        self._before, self._after = state_dict["before"], state_dict["after"]
        self._current = state_dict["current"]

    def summary(self) -> dict[str, float]:
        """Return precision (fraction) and error (px) before and after the stream."""
        return {
            f"retention_{name}_{when}": values[name]
            for when, values in (("before", self._before), ("after", self._after))
            for name in ("AP", "mpjpe_px")
        }

    def _measure(self) -> dict[str, float]:
        return evaluate_on_source(self._module.student, self.data, self.images)
