"""The contract of an average of weights, and the one that serves the latest."""

from __future__ import annotations

from pose_oad.online.stage import Stage
from pose_oad.students import PoseStudent


class WeightAverage(Stage):
    """Say which network predicts while another one trains; buffers, as those of batch norm, belong to its weights."""

    def started(self, student: PoseStudent) -> None:
        """Look at the student as it is before the stream, and before any state is taken on."""

    def serving(self, student: PoseStudent) -> PoseStudent:
        """Return the network that predicts.

        Args:
            student: the network that trains
        """
        raise NotImplementedError

    def after_step(self, student: PoseStudent) -> None:
        """Take the weights after an optimiser step in."""

    def window_closed(self, student: PoseStudent) -> None:
        """Take note of the end of a window's training; weights that training goes on from may be changed."""


class LatestWeights(WeightAverage):
    """Predict with the weights that training has come to, as in the paper."""

    def serving(self, student: PoseStudent) -> PoseStudent:
        """Return the network that trains."""
        return student
