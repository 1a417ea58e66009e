"""Labels mixed with what the student itself said before (Das & Sanghavi, ICML 2023)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pose_oad.online.objectives.base import Loss, MapOutputs, TrainingTarget
from pose_oad.online.objectives.map_regression import MapRegression
from pose_oad.online.objectives.own_teacher import OwnTeacher
from pose_oad.poses.maps import MapTargets
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import NotNegative


class SelfDistillation(OwnTeacher):
    """Regress xi times the maps of the student's own average plus 1 - xi times those of the labels.

    Args:
        xi: share of its own maps; above 1, against strong noise in the labels, it moves away from them. What is mixed
            stays between the smallest and the largest value that a label has
        own: maps of the ``average`` of its weights, or of a ``snapshot`` at the end of each window (repeated
            self-distillation)
        momentum: share of the former average that each step leaves
        foreground: additional weight of map cells where something is in what is mixed
    """

    def __init__(
        self,
        xi: NotNegative = 0.5,
        own: Literal["average", "snapshot"] = "average",
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        foreground: NotNegative = 0.0,
    ) -> None:
        super().__init__(momentum if own == "average" else 0.0)  # an average of nothing but the newest weights
        self.xi, self.own, self.foreground = xi, own, foreground
        self._regression = MapRegression(foreground)

    def after_step(self, student: PoseStudent) -> None:
        """Take the weights into the average."""
        if self.own == "average":
            super().after_step(student)

    def window_closed(self, student: PoseStudent) -> None:
        """Take the snapshot."""
        if self.own == "snapshot":
            super().after_step(student)

    def __call__(self, outputs: MapOutputs, target: TrainingTarget) -> Loss:
        """Return the mean squared error from what is mixed, over what is known.

        Raises:
            ValueError: if the target comes without frames.
        """
        if target.frames is None:
            raise ValueError("self-distillation needs the frames of a batch")
        own, lowest = self.teacher.maps(target.frames), (0.0, -1.0)
        mixed = MapTargets(
            *(
                (self.xi * mine + (1 - self.xi) * label).clamp(low, 1.0)
                for mine, label, low in zip(own, target.maps, lowest, strict=True)
            )
        )
        return self._regression(outputs, target._replace(maps=mixed))
