"""What adapting to a stream costs on the images that the student was pre-trained for."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from pose_oad.offline.source_domain import ValidationData, evaluate_on_source
from pose_oad.online.distillation import as_distillation
from pose_oad.online.window import FrameWindow
from pose_oad.tracking.errors import check


class Retention(Callback):
    """Evaluate the student on a fixed validation set of its source domain before, during and after the stream.

    A window's measurement is taken after the training on it and logged with it, timed as ``retention``. Must come after
    the timing of a window and before its metrics are recorded.

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
        data.setup("validate")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the student as it is before the stream."""
        self._before = self._after = self._measure(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the student after a window, if it is its turn or the last."""
        window: FrameWindow = batch
        self._current = trainer.is_last_batch or (self.every is not None and (window.index + 1) % self.every == 0)
        if self._current:
            with window.phase("retention"):
                self._after = self._measure(pl_module)
            window.metrics |= {f"retention/{name}": value for name, value in self._after.items()}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the final student where the stream was shorter than announced."""
        if not self._current:
            self._after = self._measure(pl_module)

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

    def _measure(self, module: LightningModule) -> dict[str, float]:
        return evaluate_on_source(as_distillation(module).student, self.data, self.images)
