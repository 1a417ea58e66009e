"""What objectives share in which an average of the student's own weights teaches."""

from __future__ import annotations

from typing import Any

from pose_oad.online.averaging import Ema
from pose_oad.online.objectives.base import Objective
from pose_oad.students import PoseStudent


class OwnTeacher(Objective):
    """Keep an average of the student's weights as a teacher.

    Args:
        momentum: share of the former average that each step leaves
    """

    def __init__(self, momentum: float) -> None:
        self._average = Ema(momentum)
        self._student: PoseStudent

    @property
    def teacher(self) -> PoseStudent:
        """The averaged network."""
        return self._average.serving(self._student)

    def started(self, student: PoseStudent) -> None:
        """Begin with the student's own weights."""
        self._student = student
        self._average.started(student)

    def after_step(self, student: PoseStudent) -> None:
        """Take the weights into the average."""
        self._average.after_step(student)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights."""
        return self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them on."""
        self._average.load_state_dict(state)
