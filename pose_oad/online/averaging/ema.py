"""An exponential moving average of the weights predicts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pose_oad.online.averaging.base import Start, WeightAverage, move
from pose_oad.online.stage import beside, frozen_copy
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Share


class Ema(WeightAverage):
    """Predict with an average of the weights that training passes through, the later ones counting more.

    Buffers, as the statistics of batch norm, are averaged alike.

    Args:
        momentum: share of the former average that each step leaves
        reset: share of the way from the weights to their average by which a window's end moves them: 1 trains on from
            the average, which keeps errors from piling up (arXiv 2511.18851)
        start: weights from which the training of each window begins
    """

    def __init__(
        self, momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9, reset: Share = 0.0, start: Start = "previous"
    ) -> None:
        super().__init__(start)
        self.momentum, self.reset = momentum, reset
        self._network: PoseStudent

    def started(self, student: PoseStudent) -> None:
        """Begin with the student's own weights."""
        super().started(student)
        self._network = frozen_copy(student).eval()

    def serving(self, student: PoseStudent) -> PoseStudent:
        """Return the averaged network."""
        network = beside(self._network, student)
        # What describes the student, as how it is decoded, is the student's.
        network.config, network.decoding = student.config, student.decoding
        return network

    def after_step(self, student: PoseStudent) -> None:
        """Move the average towards the weights."""
        move(self.serving(student), student.state_dict(), 1 - self.momentum)

    def window_closed(self, student: PoseStudent) -> None:
        """Move the weights towards their average."""
        if self.reset:
            move(student, self._network.state_dict(), self.reset)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights."""
        return {"average": self._network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        self._network.load_state_dict(state["average"])
